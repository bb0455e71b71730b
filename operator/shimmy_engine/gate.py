"""The queue in front of an engine that can do one thing at a time."""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

_WEIGHT: Final = 0.2
"""Weight of the latest turn in the mean length of a turn."""
_LONGEST_ADVICE: Final = 60
_PATIENCE: Final = 10.0
"""Seconds for which the first in the queue lets requests pass that are for what is loaded already."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    tag: str
    turn: "asyncio.Future[None]"
    since: float


class QueueFullError(Exception):
    """As many requests wait as may wait. A place becomes free after about `retry_after` whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"full; try again in {retry_after} s")
        self.retry_after = retry_after


class EvictedError(Exception):
    """What the request waits for does not come any more."""


class Gate:
    """Lets one request pass at a time, in the order of their arrival, and keeps a bounded number waiting.

    Where requests are for different things, those for the preferred one go first for a while.

    A waiter that is cancelled, because its client left, gives its place up at once.
    """

    def __init__(self, *, queue: int) -> None:
        self._queue = queue
        self._busy = False
        self._since = 0.0
        self._mean = 0.0
        self.preferred = ""
        """Tag of the requests that may pass others for a while, as serving one of those costs a change."""
        self._waiters: deque[_Place] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """Requests that have passed and not left: 0 or 1."""
        return int(self._busy)

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._waiters)

    async def enter(self, tag: str = "") -> None:
        """Wait for the turn. `tag` says what the request is for.

        Raises:
            QueueFullError: at once, where the queue is full.
            EvictedError: `evict` was called meanwhile.
        """
        if self._busy and len(self._waiters) >= self._queue:
            raise QueueFullError(self._advice())
        await self._wait(tag, first=False)

    async def enter_first(self) -> None:
        """Wait for the turn before all who wait, whatever the bound: for what the runner itself must do."""
        await self._wait("", first=True)

    def evict(self, *, but: str) -> None:
        """Send away all who wait for something else than `but`."""
        for place in list(self._waiters):
            if place.tag != but and not place.turn.done():
                place.turn.set_exception(EvictedError)

    def leave(self) -> None:
        """Give the turn to the next in the queue."""
        self._measure()
        while self._waiters:
            place = self._next()
            self._waiters.remove(place)
            if not place.turn.done():
                self._since = time.monotonic()
                place.turn.set_result(None)
                return
        self._busy = False
        self._idle.set()

    async def wait_idle(self) -> None:
        """Return when nothing is in flight and nothing waits."""
        await self._idle.wait()

    async def _wait(self, tag: str, *, first: bool) -> None:
        if not self._busy:
            self._busy, self._since = True, time.monotonic()
            self._idle.clear()
            return
        place = _Place(tag, asyncio.get_running_loop().create_future(), time.monotonic())
        if first:
            self._waiters.appendleft(place)
        else:
            self._waiters.append(place)
        try:
            await place.turn
        except BaseException:
            if place in self._waiters:
                self._waiters.remove(place)
            elif place.turn.done() and not place.turn.cancelled() and not place.turn.exception():
                self.leave()  # the turn came in the very moment of leaving
            raise

    def _next(self) -> _Place:
        first = self._waiters[0]
        if not first.tag or time.monotonic() - first.since > _PATIENCE:
            return first
        return next((place for place in self._waiters if place.tag == self.preferred), first)

    def _measure(self) -> None:
        length = time.monotonic() - self._since
        self._mean = length if not self._mean else self._mean + _WEIGHT * (length - self._mean)

    def _advice(self) -> int:
        """Seconds until a turn ends, by the mean of the last ones."""
        left = self._mean - (time.monotonic() - self._since)
        return min(max(1, math.ceil(left)), _LONGEST_ADVICE)


class Occupancy:
    """Counts what goes on, to know when nothing does any more."""

    def __init__(self) -> None:
        self._count = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __enter__(self) -> None:
        self._count += 1
        self._empty.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Return when nothing goes on."""
        await self._empty.wait()
