"""What is asked of the model, whichever API it was asked through."""

from dataclasses import dataclass
from typing import Final

from shimmy_api.errors import ApiError

MAX_BODY: Final = 10 * 1024 * 1024
"""Bytes of a request body: as many as the router lets through. Much of a body never reaches Shimmy, such as tools."""


class RefusedError(Exception):
    """The request is refused; nothing has reached the engine."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.code)
        self.error = error


@dataclass(frozen=True, slots=True)
class Generation:
    """One request to the model, independent of the line of Shimmy that will serve it."""

    messages: tuple[tuple[str, str], ...] = ()
    """Role and text of each turn; empty for a completion."""
    prompt: str = ""
    """Text to go on from, for a completion."""
    model: str | None = None
    """As the caller named it."""
    stream: bool = False
    max_tokens: int | None = None
    context: int | None = None
    """Tokens of context that the caller counts on."""
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @property
    def chat(self) -> bool:
        """Whether this is a conversation rather than a text to go on from."""
        return bool(self.messages)
