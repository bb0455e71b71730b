"""The queue in front of an engine that can do one thing at a time."""

import asyncio
from collections import deque


class QueueFullError(Exception):
    """As many requests wait as may wait."""


class Gate:
    """Lets one request pass at a time, in the order of their arrival, and keeps a bounded number waiting.

    A waiter that is cancelled, because its client left, gives its place up at once.
    """

    def __init__(self, *, queue: int) -> None:
        self._queue = queue
        self._busy = False
        self._waiters: deque[asyncio.Future[None]] = deque()
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

    async def enter(self) -> None:
        """Wait for the turn.

        Raises:
            QueueFullError: at once, where the queue is full.
        """
        if not self._busy:
            self._busy = True
            self._idle.clear()
            return
        if len(self._waiters) >= self._queue:
            raise QueueFullError
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn came in the very moment of leaving
            elif turn in self._waiters:
                self._waiters.remove(turn)
            raise

    def leave(self) -> None:
        """Give the turn to the next in the queue."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
        self._idle.set()

    async def wait_idle(self) -> None:
        """Return when nothing is in flight and nothing waits."""
        await self._idle.wait()


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
