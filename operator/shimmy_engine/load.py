"""GET /internal/load: the queue's length as it changes, so that routers choose the pod with the least to do.

One JSON object per line, `{"inFlight":1,"queued":3}`: at once, at every change, and at least every ten seconds.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from starlette.requests import Request

from shimmy_engine.gate import Gate
from shimmy_engine.responses import ClientWatch, StreamedAnswer

MEDIA_TYPE: Final = "application/x-ndjson"
_COALESCE: Final = 0.005
"""Seconds in which changes go together: one request makes up to three."""
_SILENCE: Final = 10.0
"""Longest time in seconds without a line, so that a reader can tell an idle pod from one that is gone."""


class LoadStreams:
    """The streams of one runner, all of which end when it drains."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._ended = False
        self._open: set[asyncio.Event] = set()

    def end(self) -> None:
        """End all streams, and every later one after its first line: nothing shall be sent here any more."""
        self._ended = True
        for changed in self._open:
            changed.set()

    def answer(self, request: Request) -> StreamedAnswer:
        """The response to one reader; it ends when the reader leaves."""
        watch = ClientWatch(request.receive)
        lines = self._lines(watch)
        return StreamedAnswer(lines, media_type=MEDIA_TYPE, headers={}, trailers=dict, end=watch.end)

    async def _lines(self, watch: ClientWatch) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        with self._gate.watch() as changed:
            self._open.add(changed)
            watch.on_leave(changed.set)
            try:
                told, at = self._line(), clock()
                yield told
                while not self._ended and not watch.left:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(at + _SILENCE):
                            await changed.wait()
                            await asyncio.sleep(_COALESCE)
                    changed.clear()
                    if (line := self._line()) != told or clock() >= at + _SILENCE:
                        told, at = line, clock()
                        yield line
            finally:
                self._open.discard(changed)

    def _line(self) -> bytes:
        load = {"inFlight": self._gate.in_flight, "queued": self._gate.queued}
        return json.dumps(load, separators=(",", ":")).encode() + b"\n"
