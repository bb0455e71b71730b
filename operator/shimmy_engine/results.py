"""What an answer has come to: why it ended, what it used, how long it took."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Result:
    """A finished answer, without its text. Times are in seconds."""

    reason: str
    """"stop" or "length"."""
    usage: Usage
    stop: str | None = None
    """The stop string that ended it, where one did."""
    queue_seconds: float = 0.0
    """Wait for the turn."""
    prompt_seconds: float = 0.0
    """From the turn to the first token."""
    text_seconds: float = 0.0
    """From the first token to the end."""
