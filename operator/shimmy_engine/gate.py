"""The queue in front of an engine that can do one thing at a time."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shimmy_engine.fair_queue import FairQueue, Share, Ticket

_WEIGHT: Final = 0.2
"""Weight of the latest turn in the mean length of a turn."""
_LONGEST_ADVICE: Final = 60
_ANYONE: Final = Share()

_Turn = asyncio.Future[None]


class QueueFullError(Exception):
    """As many requests wait as may wait. A place becomes free after about `retry_after` whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"full; try again in {retry_after} s")
        self.retry_after = retry_after


class EvictedError(Exception):
    """What the request waits for does not come any more."""


class MovedError(Exception):
    """The request goes to another pod, which is idle."""


class Gate:
    """Lets one request pass at a time and keeps a bounded number waiting; FairQueue says which one is next.

    Where requests are for different things, those for the preferred one go first for a while.

    A waiter that is cancelled, because its client left, gives its place up at once.
    """

    def __init__(self, *, queue: int) -> None:
        self._busy = False
        self._since = 0.0
        self._mean = 0.0
        self._queue = FairQueue(queue)
        self._turns: dict[Ticket, _Turn] = {}
        self._first: deque[_Turn] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._watchers: set[asyncio.Event] = set()
        self.used = 0.0
        """When the last turn ended, in seconds since the epoch; 0 where none has."""

    @property
    def preferred(self) -> str:
        """Tag of the requests that may pass others for a while, as serving one of those costs a change."""
        return self._queue.preferred

    @preferred.setter
    def preferred(self, tag: str) -> None:
        self._queue.preferred = tag

    @property
    def in_flight(self) -> int:
        """Requests that have passed and not left: 0 or 1."""
        return int(self._busy)

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue) + len(self._first)

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """While the context lasts, an event that is set whenever a request comes, passes or leaves, or by `touch`."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    def touch(self) -> None:
        """Let watchers look again: something has changed that they tell."""
        for changed in self._watchers:
            changed.set()

    async def enter(self, tag: str = "", share: Share = _ANYONE, *, movable: bool = False) -> None:
        """Wait for the turn. `tag` says what the request is for, `share` on whose account it runs.

        One that is `movable` may be sent away for another pod.

        Raises:
            QueueFullError: the queue is full; or it has become so, and the place is due to another tenant.
            EvictedError: `evict` was called meanwhile.
            MovedError: `release` was called meanwhile.
        """
        ticket = Ticket(share, tag, time.monotonic(), movable)
        if not self._busy:
            self._queue.serve(ticket)
            self._begin()
            return
        evicted = self._queue.add(ticket)
        if evicted is ticket:
            raise QueueFullError(self._advice())
        if evicted:
            self._send_away(evicted, QueueFullError(self._advice()))
        turn = self._turns[ticket] = asyncio.get_running_loop().create_future()
        self.touch()
        try:
            await turn
        except BaseException:
            if self._turns.pop(ticket, None):
                self._queue.remove(ticket)
                self.touch()
            elif self._queue.served is ticket:
                self.leave()  # the turn came in the very moment of leaving
            elif not turn.cancelled():
                turn.exception()  # sent away in that moment: what asyncio would complain about, were it not looked at
            raise

    async def enter_first(self) -> None:
        """Wait for the turn before all who wait, whatever the bound: for what the runner itself must do."""
        if not self._busy:
            self._begin()
            return
        turn = asyncio.get_running_loop().create_future()
        self._first.append(turn)
        self.touch()
        try:
            await turn
        except BaseException:
            if turn in self._first:
                self._first.remove(turn)
                self.touch()
            elif not turn.cancelled():
                self.leave()
            raise

    def evict(self, *, but: str) -> None:
        """Send away all who wait for something else than `but`."""
        for ticket in list(self._queue):
            if ticket.tag != but:
                self._queue.remove(ticket)
                self._send_away(ticket, EvictedError())
        self.touch()

    def release(self, tag: str) -> bool:
        """Send the next one for `tag` to another pod; whether there was any that may go."""
        ticket = self._queue.movable(tag)
        if ticket is None:
            return False
        self._queue.remove(ticket)
        self._send_away(ticket, MovedError())
        self.touch()
        return True

    def leave(self) -> None:
        """Give the turn to the next in the queue."""
        now = time.monotonic()
        self.used = time.time()
        self._measure(now - self._since)
        self._queue.end(now - self._since)
        if turn := self._next(now):
            self._begin()
            turn.set_result(None)
        else:
            self._busy = False
            self._idle.set()
            self.touch()

    async def wait_idle(self) -> None:
        """Return when nothing is in flight and nothing waits."""
        await self._idle.wait()

    def _next(self, now: float) -> _Turn | None:
        """The turn of the next one; those whose client has left just now are passed over."""
        while self._first:
            if not (turn := self._first.popleft()).done():
                return turn
        while ticket := self._queue.next(now):
            if not (turn := self._turns.pop(ticket)).done():
                return turn
            self._queue.end(0.0)
        return None

    def _begin(self) -> None:
        self._busy, self._since = True, time.monotonic()
        self._idle.clear()
        self.touch()

    def _send_away(self, ticket: Ticket, error: Exception) -> None:
        turn = self._turns.pop(ticket)
        if not turn.done():
            turn.set_exception(error)

    def _measure(self, length: float) -> None:
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
