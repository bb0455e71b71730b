"""Conditions, carried over from one status to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shimmy_api.conditions import CONSISTENT, READY, Condition, Conditions, ConditionStatus

NO_CONFLICT: Final = "Consistent"
"""Reason of an object that nothing contradicts."""
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an object is ready, why, and what to do about it."""

    ready: bool
    reason: str
    message: str


def consistency(conflicts: Sequence[Verdict] | None) -> Verdict | None:
    """All conflicts as one verdict; None where an object has nothing that could contradict another one."""
    if conflicts is None:
        return None
    if not conflicts:
        return Verdict(True, NO_CONFLICT, "Everything that it names is there, and nothing contradicts it.")
    more = [f"And {len(conflicts) - _SHOWN} more."] if len(conflicts) > _SHOWN else []
    return Verdict(
        False, conflicts[0].reason, " ".join([*(conflict.message for conflict in conflicts[:_SHOWN]), *more])
    )


def consistency_condition(
    conflicts: Sequence[Verdict] | None, previous: Conditions, generation: int, now: str
) -> Conditions:
    """The condition Consistent, or none."""
    verdict = consistency(conflicts)
    return () if verdict is None else (condition(CONSISTENT, verdict, previous, generation, now),)


def ready_condition(verdict: Verdict, previous: Conditions, generation: int, now: str) -> Condition:
    """The condition Ready."""
    return condition(READY, verdict, previous, generation, now)


def condition(kind: str, verdict: Verdict, previous: Conditions, generation: int, now: str) -> Condition:
    """A condition. Its time moves only when its status changes (KEP-1623); `now` is in RFC 3339."""
    before = find(previous, kind)
    status: ConditionStatus = "True" if verdict.ready else "False"
    return Condition(
        type=kind,
        status=status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and before.status == status else now,
        reason=verdict.reason,
        message=verdict.message,
    )


def find(conditions: Conditions, kind: str) -> Condition | None:
    """The condition of a type."""
    return next((condition for condition in conditions if condition.type == kind), None)
