"""Conditions, carried over from one status to the next."""

from dataclasses import dataclass

from shimmy_api.conditions import READY, Condition, Conditions, ConditionStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an object is ready, why, and what to do about it."""

    ready: bool
    reason: str
    message: str


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
