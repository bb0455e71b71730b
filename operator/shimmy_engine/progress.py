"""Says in the log how far a long job is."""

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

_FIRST: Final = 2.0
"""Seconds until the first line: what is done sooner says nothing."""
_EVERY: Final = 5.0
"""Seconds between two lines."""


class Progress:
    """Counts bytes and logs every few seconds how many there are, how fast they come and when the last one will."""

    def __init__(self, verb: str, total: int | None, done: int = 0) -> None:
        """`total` is None where nobody knows it; `done` bytes were there before."""
        self.done = done
        self._verb = verb
        self._total = total
        self._before = done
        self._start = time.monotonic()
        self._next = self._start + _FIRST

    def add(self, size: int) -> None:
        """`size` bytes more are done."""
        self.reach(self.done + size)

    def reach(self, done: int) -> None:
        """`done` bytes are done by now."""
        self.done = done
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            log.info("%s", self._line(now - self._start))

    def _line(self, seconds: float) -> str:
        rate = (self.done - self._before) / seconds
        speed = f"{rate / 1e6:.1f} MB/s"
        if not self._total:
            return f"{self._verb} {self.done / 1e6:.0f} MB, {speed}"
        left = f", about {(self._total - self.done) / rate:.0f} s left" if rate > 0 else ""
        share = f"{self.done / 1e6:.0f} of {self._total / 1e6:.0f} MB ({self.done / self._total:.0%})"
        return f"{self._verb} {share}, {speed}{left}"
