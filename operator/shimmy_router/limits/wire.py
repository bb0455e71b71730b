"""What routers tell one another, as JSON. Malformed text is refused with ValueError."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shimmy_router.limits.ledger import Answer, Ask, State
from shimmy_router.limits.window import Buckets


class ToRouter(BaseModel):
    """From a router to another one."""

    model_config = ConfigDict(frozen=True)

    states: tuple[State, ...] = ()
    """Of counters whose home the receiver is, before the requests below. What is told is the whole, never a difference:
    a message too many or too few does no lasting harm."""
    asks: tuple[tuple[int, Ask], ...] = ()
    """Requests that want to come in, numbered."""
    tokens: tuple[tuple[Annotated[str, Field(max_length=253)], Buckets], ...] = ()
    """Tokens that the sender counted, by tenant."""


class ToAsker(BaseModel):
    """The answers on the same connection."""

    model_config = ConfigDict(frozen=True)

    answers: tuple[tuple[int, Answer], ...]
    """By the number of the request."""
