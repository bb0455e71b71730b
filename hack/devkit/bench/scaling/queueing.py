"""Requests in front of pods that come and go, as the router treats them. Pure: the clock is given.

Clients keep as many requests open as the pattern says: one that is answered is followed by the next. A pod runs one at
a time and has a queue; while there is no pod, requests are held.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from shimmy_api.load import PodLoad


@dataclass(frozen=True, slots=True)
class Bounds:
    """As the instance has them."""

    queue_depth: int = 16
    most_held: int = 100
    hold_seconds: float = 120.0
    service_seconds: float = 2.0


@dataclass
class Queueing:
    """One model's requests."""

    bounds: Bounds
    running: dict[str, float] = field(default_factory=dict)
    """By pod, when its request ends."""
    waiting: deque[float] = field(default_factory=deque)
    """When each came."""
    lost: int = 0
    answered: int = 0
    longest_wait: float = 0.0

    def step(self, now: float, wanted: int, pods: Iterable[str]) -> None:
        """Go on until `now`: these pods are ready, and clients want so many requests open."""
        ready = set(pods)
        for pod in [pod for pod, end in self.running.items() if end <= now]:
            del self.running[pod]
            self.answered += 1
        open_requests = len(self.running) + len(self.waiting)
        self.waiting.extend([now] * max(wanted - open_requests, 0))
        for pod in sorted(ready - self.running.keys()):
            if not self.waiting:
                break
            self.longest_wait = max(self.longest_wait, now - self.waiting.popleft())
            self.running[pod] = now + self.bounds.service_seconds
        room = len(ready) * self.bounds.queue_depth if ready else self.bounds.most_held
        while len(self.waiting) > room:
            self.waiting.pop()
            self.lost += 1
        while not ready and self.waiting and now - self.waiting[0] > self.bounds.hold_seconds:
            self.waiting.popleft()
            self.lost += 1

    def pods(self, ready: Iterable[str]) -> dict[str, PodLoad]:
        """What each ready pod has to do: what waits is spread over them."""
        names = sorted(ready)
        return {
            name: PodLoad(in_flight=int(name in self.running), queued=_share(len(self.waiting), place, len(names)))
            for place, name in enumerate(names)
        }

    def held(self, ready: Iterable[str]) -> int:
        """Requests that the router holds."""
        return 0 if list(ready) else len(self.waiting)


def _share(count: int, place: int, parts: int) -> int:
    return count // parts + (place < count % parts)
