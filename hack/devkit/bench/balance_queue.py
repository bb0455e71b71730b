"""What queueing theory cannot say in one line: requests of very different lengths before several pods. Pure.

`ideal` is one queue before all pods, which nobody who must choose a pod at a request's arrival can beat by much. The
policies are what routers can do; their mean waits against the ideal one chose how ours work.
"""

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

SPREAD: Final = 10.0
"""The longest request by the shortest; between them lengths are even on a logarithmic scale."""
_MEAN: Final = (1 - 1 / SPREAD) / math.log(SPREAD)
"""Mean length, as a part of the longest."""
_ZONES: Final = 2


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request."""

    at: float
    seconds: float
    """How long a pod works on it."""


class Zone(Enum):
    """What a router's zone counts for: pods and routers are in two zones by turns."""

    NOTHING = auto()
    EQUALS = auto()
    """It decides between pods that are equally occupied."""
    FIRST = auto()
    """It decides before anything else."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a router chooses a pod."""

    name: str
    shared: bool = False
    """Whether it knows what all routers have sent, rather than itself only."""
    delay: float = 0.0
    """Seconds until it knows."""
    levels: float = math.inf
    """Up to which number of requests occupied pods are told apart."""
    moved: float | None = None
    """Seconds after which a pod that has become idle gets a request that waits elsewhere; None for never."""
    zone: Zone = Zone.NOTHING


POLICIES: Final = (
    Policy("least of own requests"),
    Policy("idle before busy, known after 20 ms", shared=True, delay=0.02, levels=1),
    Policy("least occupied, known at once", shared=True),
    Policy("least occupied, known after 20 ms", shared=True, delay=0.02),
    Policy("least of own requests, moved after 20 ms", moved=0.02),
    Policy("least occupied after 20 ms, moved after 20 ms", shared=True, delay=0.02, moved=0.02),
    Policy("the same, of equal pods those in the own zone", shared=True, delay=0.02, moved=0.02, zone=Zone.EQUALS),
    Policy("the same, in the own zone if it has any pod", shared=True, delay=0.02, moved=0.02, zone=Zone.FIRST),
)


def poisson(count: int, pods: int, load: float, chance: random.Random, longest: float = 1.0) -> list[Arrival]:
    """Arrivals at random moments that keep the pods busy for the part `load` of the time; `longest` is in seconds."""
    found, now = [], 0.0
    for _ in range(count):
        now += chance.expovariate(load * pods / (longest * _MEAN))
        found.append(Arrival(now, longest * SPREAD ** -chance.random()))
    return found


def ideal(arrivals: Sequence[Arrival], pods: int) -> float:
    """Mean wait in seconds where the first in one queue goes to the first free pod."""
    free, waits = [0.0] * pods, 0.0
    for arrival in sorted(arrivals, key=lambda one: one.at):
        begin = max(arrival.at, heapq.heappop(free))
        waits += begin - arrival.at
        heapq.heappush(free, begin + arrival.seconds)
    return waits / len(arrivals)


def simulate(arrivals: Sequence[Arrival], pods: int, routers: int, policy: Policy, chance: random.Random) -> float:
    """Mean wait in seconds with this policy in each of the routers, which get the requests at random."""
    return _Simulation(pods, routers, policy, chance).run(arrivals)


@dataclass(frozen=True, slots=True)
class _Job:
    arrival: Arrival
    router: int


class _Pod:
    def __init__(self) -> None:
        self.queue: deque[_Job] = deque()
        self.busy = False
        self._history: deque[tuple[float, int]] = deque([(-math.inf, 0)])

    def note(self, now: float) -> None:
        """Remember how occupied it is from now on."""
        self._history.append((now, len(self.queue) + self.busy))

    def load(self, at: float) -> int:
        """How occupied it was; later questions are about later times."""
        while len(self._history) > 1 and self._history[1][0] <= at:
            self._history.popleft()
        return self._history[0][1]


class _Simulation:
    def __init__(self, pods: int, routers: int, policy: Policy, chance: random.Random) -> None:
        self._pods = [_Pod() for _ in range(pods)]
        self._own = [[0] * pods for _ in range(routers)]
        self._policy = policy
        self._chance = chance
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._waits = 0.0

    def run(self, arrivals: Sequence[Arrival]) -> float:
        for arrival in arrivals:
            self._at(arrival.at, lambda now, arrival=arrival: self._arrive(arrival, now))  # type: ignore[misc]
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self._waits / len(arrivals)

    def _at(self, time: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), happen))

    def _arrive(self, arrival: Arrival, now: float) -> None:
        job = _Job(arrival, self._chance.randrange(len(self._own)))
        self._send(job, self._choose(job.router, now), now)

    def _choose(self, router: int, now: float) -> int:
        own, policy = self._own[router], self._policy
        loads = [min(pod.load(now - policy.delay), policy.levels) if policy.shared else 0 for pod in self._pods]
        far = [pod % _ZONES != router % _ZONES for pod in range(len(loads))]
        first = far if policy.zone is Zone.FIRST else [False] * len(far)
        equals = far if policy.zone is Zone.EQUALS else [False] * len(far)
        costs = list(zip(first, loads, equals, own, strict=True))
        return self._chance.choice([pod for pod, cost in enumerate(costs) if cost == min(costs)])

    def _send(self, job: _Job, pod: int, now: float) -> None:
        self._own[job.router][pod] += 1
        self._pods[pod].queue.append(job)
        self._next(pod, now)

    def _next(self, pod: int, now: float) -> None:
        place = self._pods[pod]
        if not place.busy and place.queue:
            job = place.queue.popleft()
            place.busy = True
            self._waits += now - job.arrival.at
            self._at(now + job.arrival.seconds, lambda end: self._end(job, pod, end))
        place.note(now)

    def _end(self, job: _Job, pod: int, now: float) -> None:
        self._pods[pod].busy = False
        self._own[job.router][pod] -= 1
        self._next(pod, now)
        if not self._pods[pod].busy and self._policy.moved is not None:
            self._at(now + self._policy.moved, lambda then: self._move(pod, then))

    def _move(self, pod: int, now: float) -> None:
        longest = max(range(len(self._pods)), key=lambda other: len(self._pods[other].queue))
        if self._pods[pod].busy or not self._pods[longest].queue:
            return
        job = self._pods[longest].queue.popleft()
        self._own[job.router][longest] -= 1
        self._pods[longest].note(now)
        self._send(job, pod, now)
