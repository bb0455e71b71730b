"""A work queue by key: an object waits at most once, and is never worked on twice at the same time.

The semantics are those of client-go's workqueue (https://pkg.go.dev/k8s.io/client-go/util/workqueue).
"""

import asyncio
from typing import Final

from shimmy_operator.cluster.resources import Reference

_FIRST_RETRY: Final = 0.2
_LONGEST_RETRY: Final = 60.0


class WorkQueue:
    """Keys that wait, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[Reference, None] = {}
        self._working: set[Reference] = set()
        self._again: set[Reference] = set()
        self._failures: dict[Reference, int] = {}
        self._timers: dict[Reference, asyncio.TimerHandle] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Reference) -> None:
        """Have a key worked on; if it is being worked on, once more after that."""
        if key in self._working:
            self._again.add(key)
        else:
            self._waiting[key] = None
            self._filled.set()

    def add_later(self, key: Reference, seconds: float) -> None:
        """Have a key worked on after some time; of several times for one key, the earliest counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    async def take(self) -> Reference:
        """Wait for a key; call `done` with it when it was worked on."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._working.add(key)
        return key

    def done(self, key: Reference) -> None:
        """It worked."""
        self._failures.pop(key, None)
        self._finish(key)

    def failed(self, key: Reference, retry_after: float | None = None) -> float:
        """It did not work: it is tried again later. Returns the delay in seconds, which doubles each time."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(min(_FIRST_RETRY * (1 << min(failures, 16)), _LONGEST_RETRY), retry_after or 0.0)
        self._finish(key)
        self._waiting.pop(key, None)
        self.add_later(key, delay)
        return delay

    def _finish(self, key: Reference) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _due(self, key: Reference) -> None:
        del self._timers[key]
        self.add(key)
