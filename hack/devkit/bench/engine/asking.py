"""One request of a load, and all that its client saw of the answer."""

import asyncio
import json
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, cast

from devkit.bench.engine.transports import Head, Part, Trailers, Transport
from shimmy_api import headers
from shimmy_engine.sse import DONE, SseDecoder

PATH: Final = "/v1/chat/completions"
MODEL: Final = "m"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks, and when it will have had enough."""

    name: str
    """Unique; part of the request's id."""
    prompt: str
    max_tokens: int
    stream: bool = True
    http2: bool = True
    leave_after: float | None = None
    """Seconds after which the client leaves, whatever it has got by then."""
    leave_at: int | None = None
    """Pieces of text after which it leaves."""

    @property
    def body(self) -> bytes:
        """The request's JSON."""
        values: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": self.prompt}]}
        values |= {"max_tokens": self.max_tokens, "temperature": 0, "stream": self.stream}
        if self.stream:
            values["stream_options"] = {"include_usage": True}
        return json.dumps(values).encode()


Counts = tuple[int, int]
"""Prompt tokens and completion tokens."""


@dataclass(slots=True)
class Seen:
    """What a client saw of one request."""

    wish: Wish
    request_id: str
    status: int = 0
    """0 where not even headers came."""
    code: str = ""
    """Of the error that the answer was, or ended in."""
    fields: dict[str, str] = field(default_factory=dict)
    """Headers of the answer."""
    parts: list[str] = field(default_factory=list)
    """Pieces of text in the order of their arrival; one, where the answer is not a stream."""
    reason: str = ""
    usage: Counts | None = None
    """As the body says."""
    counted: Counts | None = None
    """As the headers of a JSON answer or the trailers of a stream say."""
    done: bool = False
    """Whether the answer ended as an answer does: a JSON body, or [DONE]."""
    left: bool = False
    """Whether the client left before the end."""
    broken: str = ""
    """Why there was neither an answer nor an error nor a leaving."""
    sent_at: float = 0.0
    first_text_at: float = 0.0
    """Monotonic time, like the other one; 0 before it."""
    _decoder: SseDecoder = field(default_factory=SseDecoder)
    _body: bytes = b""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)

    @property
    def pieces(self) -> int:
        """Tokens at the least: a piece holds one, or a character that several make together."""
        return len(self.parts)

    def take(self, part: Part) -> None:
        """Note the next part of the answer."""
        if isinstance(part, Head):
            self.status, self.fields = part.status, dict(part.headers)
            self.counted = _counted(self.fields)
        elif isinstance(part, Trailers):
            self.counted = _counted(dict(part.fields))
        elif self.status == 200 and self.wish.stream:
            for data in self._decoder.feed(part):
                self._event(data)
        else:
            self._body += part

    def finish(self) -> None:
        """The answer has come to its end."""
        if self.status != 200:
            self.code = json.loads(self._body)["error"]["code"]
        elif not self.wish.stream:
            values = json.loads(self._body)
            choice = values["choices"][0]
            self._text(choice["message"]["content"])
            self.reason, self.usage, self.done = choice["finish_reason"], _usage(values), True
        if self.status == 200 and not self.done and not self.code:
            self.broken = "the stream ended without [DONE] and without an error"

    def _event(self, data: str) -> None:
        if data == DONE:
            self.done = True
            return
        values = json.loads(data)
        if "error" in values:
            self.code = values["error"]["code"]
            return
        for choice in values["choices"]:
            self._text(choice["delta"].get("content"))
            self.reason = choice["finish_reason"] or self.reason
        self.usage = _usage(values) or self.usage

    def _text(self, text: str | None) -> None:
        if text:
            self.first_text_at = self.first_text_at or time.monotonic()
            self.parts.append(text)


async def ask(transport: Transport, token: str, wish: Wish, request_id: str, *, patience: float) -> Seen:
    """Send the wish and read until the end, or until the client leaves or has waited `patience` seconds."""
    seen = Seen(wish, request_id, sent_at=time.monotonic())
    fields = {headers.ENGINE_TOKEN: token, headers.REQUEST_ID: request_id, "content-type": "application/json"}
    bound = patience if wish.leave_after is None else wish.leave_after
    try:
        async with asyncio.timeout(bound), aclosing(transport.post(PATH, wish.body, fields)) as parts:
            async for part in parts:
                seen.take(part)
                if wish.leave_at is not None and seen.pieces >= wish.leave_at:
                    seen.left = True
                    return seen
        seen.finish()
    except TimeoutError:
        seen.left = wish.leave_after is not None
        seen.broken = "" if seen.left else f"no end within {patience:g} s"
    except ConnectionError as error:
        seen.broken = str(error)
    return seen


def _counted(fields: dict[str, str]) -> Counts | None:
    if headers.COMPLETION_TOKENS not in fields:
        return None
    return int(fields[headers.PROMPT_TOKENS]), int(fields[headers.COMPLETION_TOKENS])


def _usage(values: dict[str, Any]) -> Counts | None:
    usage = cast("dict[str, int] | None", values.get("usage"))
    return (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
