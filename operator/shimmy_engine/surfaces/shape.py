"""What an API brings to a request: how it is read, how its answer and its errors are written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from shimmy_api.errors import ApiError
from shimmy_engine.requests import Generation
from shimmy_engine.results import Result, Usage

EVENT_STREAM: Final = "text/event-stream"
NDJSON: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Head:
    """What every part of an answer may name."""

    id: str
    """Unique part of the answer's id."""
    created: int
    """Unix time in seconds."""
    model: str


class Shape(Protocol):
    """Writes one answer: whole, or as a stream of `first`, `piece`s, and `last` or `failure`."""

    @property
    def media_type(self) -> str:
        """Content type of the stream."""

    def whole(self, text: str, result: Result) -> bytes:
        """The JSON body of an answer that is not streamed."""

    def first(self, usage: Usage) -> bytes:
        """What stands before the text; no completion token is counted yet."""

    def piece(self, text: str) -> bytes:
        """A piece of text."""

    def last(self, result: Result) -> bytes:
        """What stands after the text."""

    def failure(self, error: ApiError) -> bytes:
        """What ends a stream that cannot be finished."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for text."""

    generation: Generation
    shape: Callable[[Head], Shape]


@dataclass(frozen=True, slots=True)
class Immediate:
    """A request that is answered without generating anything."""

    model: str | None
    """As the caller named it."""
    body: Callable[[Head], bytes]


Parse = Callable[[bytes], Ask | Immediate]
"""Reads a request's body.

Raises:
    RefusedError: with the error for the caller.
"""


@dataclass(frozen=True, slots=True)
class Surface:
    """One API's manners."""

    name: str
    error: Callable[[ApiError, str], bytes]
    """Body of an error, from what it is and the request's id."""
    request_id_header: str | None = None
    """Where its clients look for the request's id, beside x-request-id."""
