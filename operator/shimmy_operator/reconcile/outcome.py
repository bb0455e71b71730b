"""What a reconciliation found."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from shimmy_api.base import ApiModel
from shimmy_operator.status.conditions import Verdict

Status = TypeVar("Status", bound=ApiModel)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Status]):
    """The status that an object had, and the one that it shall have."""

    before: Status
    after: Status
    progress: frozenset[str] = frozenset()
    """Reasons of the condition Ready that are steps on the way."""
    news: tuple[Verdict, ...] = ()
    """What is to be told as Events beside the conditions, once the status says it, too."""
    urgent: bool = False
    """Whether others act on what has changed, so that it is written at once."""
