"""One answer in the making: what the engine has produced so far, and who still waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator

from shimmy_engine.failures import DeadlineError, EngineFailedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.stops import StopFilter
from shimmy_engine.upstream import Ending, Piece


class Answer:
    """Written by the task that reads the engine, read by the one that writes to the client."""

    def __init__(self, *, prompt_tokens: int, max_tokens: int, stop: tuple[str, ...], queue_seconds: float) -> None:
        self.queue_seconds = queue_seconds
        self.max_tokens = max_tokens
        self.abandoned = asyncio.Event()
        """Set when nobody needs the rest: the client left, a stop string was found, or the time is over."""
        self.client_left = False
        self.first_text_at = 0.0
        """Monotonic time of the first text, 0 before it."""
        self.last_text_at = 0.0
        """Monotonic time of the latest text, 0 before the first one."""
        self._started_at = time.monotonic()
        self._ended_at = 0.0
        self._prompt_tokens = prompt_tokens
        self._tokens = 0
        self._reason = ""
        self._over = False
        self._stops = StopFilter(stop)
        self._texts: asyncio.Queue[str | EngineFailedError | None] = asyncio.Queue()

    @property
    def usage(self) -> Usage:
        """Tokens so far, or in all once it is finished."""
        return Usage(self._prompt_tokens, self._tokens)

    @property
    def reason(self) -> str:
        """Why it ended, in OpenAI's words; empty while it goes on."""
        return self._reason

    @property
    def result(self) -> Result:
        """What it has come to, once it is finished."""
        first_at = self.first_text_at or self._ended_at
        return Result(
            reason=self._reason,
            usage=self.usage,
            stop=self._stops.matched,
            queue_seconds=self.queue_seconds,
            prompt_seconds=first_at - self._started_at,
            text_seconds=self._ended_at - first_at,
        )

    @property
    def pace(self) -> float | None:
        """Seconds per token, None before the second token."""
        if self._tokens < 2:
            return None
        return (self.last_text_at - self.first_text_at) / (self._tokens - 1)

    def feed(self, event: Piece | Ending) -> None:
        """Take what the engine has sent. After a stop string, the engine's going on is nobody's business."""
        if self._reason:
            return
        if isinstance(event, Ending):
            self._finish(event)
            return
        self._tokens += event.tokens
        self.last_text_at = time.monotonic()
        self.first_text_at = self.first_text_at or self.last_text_at
        if (text := self._stops.feed(event.text)) and not self._over:
            self._texts.put_nowait(text)
        if self._stops.matched is not None:
            self._end("stop")
            self.abandoned.set()
            self.close()

    def fail(self, failure: EngineFailedError) -> None:
        """The engine broke off."""
        self._texts.put_nowait(failure)

    def close(self) -> None:
        """Nothing more comes."""
        self._texts.put_nowait(None)

    def abandon(self) -> None:
        """The client has left. After the end of the answer, or of the time for it, this has no effect."""
        if not self._reason and not self._over:
            self.client_left = self._over = True
            self.abandoned.set()

    def expire(self) -> None:
        """The time for the request is over: its client is told so, and the engine is to come to an end."""
        if not self._reason:
            self.fail(DeadlineError("the request's time is over"))
            self._over = True
            self.abandoned.set()

    @property
    def expired(self) -> bool:
        """Whether the time was over before the answer was complete."""
        return self._over and not self.client_left

    async def texts(self) -> AsyncIterator[str]:
        """Pieces of text that are not empty, as they come.

        Raises:
            EngineFailedError: the engine broke off.
        """
        while (item := await self._texts.get()) is not None:
            if isinstance(item, EngineFailedError):
                raise item
            yield item

    def _finish(self, ending: Ending) -> None:
        if ending.completion_tokens is not None:
            self._tokens = ending.completion_tokens
        if ending.prompt_tokens is not None:
            self._prompt_tokens = ending.prompt_tokens
        self._end(ending.reason or ("length" if self._tokens >= self.max_tokens else "stop"))
        if (text := self._stops.flush()) and not self._over:
            self._texts.put_nowait(text)

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._ended_at = time.monotonic()
