"""Says in the log how far a long job is."""

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

_EVERY: Final = 5.0
"""Seconds between two lines."""


class Progress:
    """Counts bytes and logs every few seconds."""

    def __init__(self, verb: str, total: int | None) -> None:
        """`total` is None where nobody knows it."""
        self.done = 0
        self._verb = verb
        self._total = total
        self._next = time.monotonic() + _EVERY

    def add(self, size: int) -> None:
        """`size` bytes more are done."""
        self.done += size
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        share = f" of {self._total / 1e6:.0f} MB ({self.done / self._total:.0%})" if self._total else " MB"
        log.info("%s %.0f%s", self._verb, self.done / 1e6, share)
