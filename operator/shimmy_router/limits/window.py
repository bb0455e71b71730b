"""Amounts of the last minute, in buckets of one second."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

SECONDS: Final = 60
"""Length of the window. A bucket leaves it when its last moment does, so up to one second later than its first."""

Buckets = list[tuple[int, int]]
"""Unix second and amount, the oldest first."""


class Window:
    """What was counted in the last minute. `now` is Unix time in seconds, of the same clock in every call."""

    __slots__ = ("_buckets", "_sum")

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()
        self._sum = 0

    def add(self, amount: int, now: float) -> None:
        """Count something that happens now. A clock that was set back counts on in the newest bucket."""
        second = int(now)
        if self._buckets and self._buckets[-1][0] >= second:
            self._buckets[-1][1] += amount
        else:
            self._buckets.append([second, amount])
        self._sum += amount

    def total(self, now: float) -> int:
        """The sum of what is still in the window."""
        oldest = int(now) - SECONDS
        while self._buckets and self._buckets[0][0] < oldest:
            self._sum -= self._buckets.popleft()[1]
        return self._sum

    def buckets(self, now: float) -> Buckets:
        """All of it, to be told to another router."""
        self.total(now)
        return [(second, amount) for second, amount in self._buckets]

    def empty_in(self, now: float) -> float:
        """Seconds until the window is empty, if nothing more is counted."""
        return max(self._buckets[-1][0] + SECONDS + 1 - now, 0.0) if self._buckets else 0.0

    def merge(self, buckets: Iterable[tuple[int, int]]) -> None:
        """Take what another router knows of the same count.

        Of each second the larger amount counts, so that it may be told twice and in any order.
        """
        known = dict(self)
        for second, amount in buckets:
            known[second] = max(amount, known.get(second, 0))
        self._buckets = deque([second, known[second]] for second in sorted(known))
        self._sum = sum(known.values())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((second, amount) for second, amount in self._buckets)


def seconds_until(windows: Iterable[Window], at_most: int, now: float) -> float:
    """Seconds until the windows' sum is `at_most`, if nothing more is counted."""
    buckets = sorted(bucket for window in windows for bucket in window.buckets(now))
    over = sum(amount for _, amount in buckets) - at_most
    for second, amount in buckets:
        if over <= 0:
            break
        over -= amount
        end = second + SECONDS + 1
        if over <= 0:
            return max(end - now, 0.0)
    return 0.0
