"""GET /internal/load: the queue's length as it changes, so that routers choose the pod with the least to do.

One JSON object per line, `{"inFlight":1,"queued":3}`: at once, at every change, and at least every ten seconds. A pod
that several models share also tells which one it has, or is loading, and when that changed last and a request ended
last: `"model":"m","swapped":0.0,"used":1795853467.5`, in seconds since the epoch, 0 for never. One whose engine is down
for the moment tells `"ready":false`: a request that comes waits until it is back.

POST /internal/release?model=NAME&to=POD: one of the requests that wait for this model is refused with 503 `moved`, so
that the router sends it to the pod that has become idle. All routers see that pod, and each may say so: within a
moment a pod is named once.
"""

import asyncio
import enum
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from starlette.requests import Request

from shimmy_engine.gate import Gate
from shimmy_engine.responses import ClientWatch, StreamedAnswer
from shimmy_engine.slot import Slot

MEDIA_TYPE: Final = "application/x-ndjson"
_COALESCE: Final = 0.005
"""Seconds in which changes go together: one request makes up to three."""
_MOMENT: Final = 0.25
"""Seconds for which a pod that was named counts as taken."""
_MOST_NAMED: Final = 1000
_SILENCE: Final = 10.0
"""Longest time in seconds without a line, so that a reader can tell an idle pod from one that is gone."""


class Release(enum.Enum):
    """What became of the wish to send a request to an idle pod; the values are HTTP statuses."""

    SENT = 200
    NONE = 204
    """Nothing that waits here may go."""
    TAKEN = 409
    """One is on its way to that pod already."""


class LoadStreams:
    """The streams of one runner, all of which end when it drains."""

    def __init__(self, gate: Gate, slot: Slot | None = None) -> None:
        """`slot`: the place for a model, into which several may come."""
        self._gate = gate
        self._slot = slot
        self._ended = False
        self._open: set[asyncio.Event] = set()
        self._named: dict[str, float] = {}
        """Pods that requests were sent to, and until when they count as taken."""

    def end(self) -> None:
        """End all streams, and every later one at once: as an idle pod, this one would get what comes next."""
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
        if self._ended:
            return
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
                    changed.clear()
                    if (line := self._line()) != told or clock() >= at + _SILENCE:
                        told, at = line, clock()
                        yield line
                        await asyncio.sleep(_COALESCE)
            finally:
                self._open.discard(changed)

    def release(self, model: str, to: str) -> Release:
        """Send a request that waits for the model to another pod."""
        now = asyncio.get_running_loop().time()
        self._named = {pod: until for pod, until in self._named.items() if until > now}
        if to in self._named or len(self._named) >= _MOST_NAMED:
            return Release.TAKEN
        if not self._gate.release(model):
            return Release.NONE
        self._named[to] = now + _MOMENT
        return Release.SENT

    def _line(self) -> bytes:
        load: dict[str, object] = {"inFlight": self._gate.in_flight, "queued": self._gate.queued}
        if (slot := self._slot) and len(slot.models) > 1:
            load |= {"model": slot.target or slot.model, "swapped": slot.swapped, "used": self._gate.used}
        if slot and slot.restarting:
            load["ready"] = False
        return json.dumps(load, separators=(",", ":")).encode() + b"\n"
