"""Why the number of pods is what it is: what the status and the Events tell."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from shimmy_api.instance import ScalingDecision

KEPT: Final = 5

IDLE: Final = "Idle"
WOKEN: Final = "Woken"
BURST: Final = "Burst"
LOAD: Final = "Load"
SCHEDULE: Final = "Schedule"
BOUNDS: Final = "Bounds"
SET: Final = "Set"


def wanted(load: int, target_percent: int) -> int:
    """Pods that a load asks for, with the autoscaler's formula: rounded up."""
    return -(-load * 100 // target_percent)


def decision(model: str, before: int, after: int, reason: str, message: str, now: datetime) -> ScalingDecision:
    """A change of the number of pods; `model` is empty where models share pods."""
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ScalingDecision(time=time, model=model, before=before, after=after, reason=reason, message=message)


def explain(
    model: str, before: int, after: int, own: ScalingDecision | None, seen: str, now: datetime
) -> ScalingDecision | None:
    """The decision behind a number that changed; None if it did not.

    `own` is the last that the operator made and has not told yet; `seen` is what is known of the load. From 0 only the
    router, or a person, starts a pod beside the operator; to 0 only a person does, or the operator before it restarted.
    """
    if before == after:
        return None
    if own is not None and own.after == after:
        return own.model_copy(update={"before": before})
    if before == 0:
        return decision(model, before, after, WOKEN, f"{_change(before, after)}: a request came.", now)
    if after == 0:
        return decision(model, before, after, SET, f"{_change(before, after)}: somebody set it.", now)
    return decision(model, before, after, LOAD, f"{_change(before, after)}: {seen}.", now)


def remembered(new: Sequence[ScalingDecision], old: Sequence[ScalingDecision]) -> tuple[ScalingDecision, ...]:
    """The last decisions, newest first."""
    return (*new, *old)[:KEPT]


def _change(before: int, after: int) -> str:
    return f"{before} to {after}"
