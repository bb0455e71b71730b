"""Says in the log how many steps of unknown number are done."""

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

_EVERY: Final = 2.0
"""Seconds between two lines."""


class Pace:
    """Counts, and logs every few seconds."""

    def __init__(self, verb: str, what: str) -> None:
        self.done = 0
        self._verb = verb
        self._what = what
        self._next = time.monotonic() + _EVERY

    def step(self, count: int = 1) -> None:
        """`count` more are done."""
        self.done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            log.info("%s %d %s", self._verb, self.done, self._what)
