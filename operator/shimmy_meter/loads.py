"""The load of every model, added up over what the routers said last. Pure: the clock is given.

An autoscaler asks every 15 s and remembers only its own recommendations, so that a burst between two questions would
never be seen, and one that ended just before a question would be taken back. What it reads is therefore the most that
there was within two of its rounds.
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#how-does-a-horizontalpodautoscaler-work
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from shimmy_api.load import LoadReport, ModelLoad

SILENT_SECONDS: Final = 3.0
"""A router reports every second: one that says nothing for this long has ended, or cannot be reached."""
HELD_SECONDS: Final = 30.0
"""Two rounds of an autoscaler at its default of 15 s (--horizontal-pod-autoscaler-sync-period)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one model of one instance has to do, over all routers."""

    namespace: str
    instance: str
    model: str
    peak: int
    """The most that was in flight, queued and held together within HELD_SECONDS."""
    in_flight: int = 0
    queued: int = 0
    held: int = 0
    tokens_per_second: float = 0.0
    first_byte_seconds: float | None = None
    """The longest that a router saw."""


@dataclass(slots=True)
class _Series:
    """What routers that are heard said last of one model, and the peaks that may yet be the highest, highest first."""

    told: dict[str, ModelLoad] = field(default_factory=dict)
    total: int = 0
    peaks: deque[tuple[float, int]] = field(default_factory=deque)

    def put(self, router: str, load: ModelLoad) -> None:
        self.drop(router)
        self.told[router] = load
        self.total += _size(load)

    def drop(self, router: str) -> None:
        if load := self.told.pop(router, None):
            self.total -= _size(load)

    def note(self, now: float) -> None:
        while self.peaks and self.peaks[-1][1] <= self.total:
            self.peaks.pop()
        self.peaks.append((now, self.total))
        self.forget(now)

    def forget(self, now: float) -> None:
        while self.peaks and now - self.peaks[0][0] > HELD_SECONDS:
            self.peaks.popleft()


Place = tuple[str, str, str]
"""Namespace, instance and model."""


class Loads:
    """Takes reports, and tells what they come to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._namespaces: dict[str, dict[Place, _Series]] = {}
        self._heard: dict[str, tuple[float, set[Place]]] = {}
        self._swept = clock()

    def take(self, report: LoadReport) -> None:
        """Put a router's report in the place of its last one."""
        now = self._now()
        _, before = self._heard.get(report.router, (now, set()))
        named = set()
        for load in report.loads:
            place = (load.namespace, load.instance, load.model)
            named.add(place)
            series = self._namespaces.setdefault(load.namespace, {}).setdefault(place, _Series())
            series.put(report.router, load)
            series.note(now)
        self._drop(report.router, before - named)
        self._heard[report.router] = (now, named)
        if now - self._swept > SILENT_SECONDS:
            self._sweep(now)

    def of(self, namespace: str) -> list[Load]:
        """The load of each model of a namespace that a router named within HELD_SECONDS."""
        return list(self._read([namespace], self._now()))

    def all(self) -> list[Load]:
        """The same of all namespaces."""
        return list(self._read(self._namespaces, self._now()))

    def routers(self) -> int:
        """How many routers are heard."""
        self._now()
        return len(self._heard)

    def _now(self) -> float:
        """The time, after those that are silent have dropped out."""
        now = self._clock()
        for router in [router for router, (at, _) in self._heard.items() if now - at > SILENT_SECONDS]:
            self._drop(router, self._heard.pop(router)[1])
        return now

    def _drop(self, router: str, places: Iterable[Place]) -> None:
        for place in places:
            self._namespaces[place[0]][place].drop(router)

    def _read(self, namespaces: Iterable[str], now: float) -> Iterator[Load]:
        for namespace in namespaces:
            for place, series in sorted(self._namespaces.get(namespace, {}).items(), key=itemgetter(0)):
                series.forget(now)
                if series.told or series.peaks:
                    yield _sum(place, series)

    def _sweep(self, now: float) -> None:
        """Forget models of which nobody has spoken for so long that they count no more."""
        self._swept = now
        for namespace, found in list(self._namespaces.items()):
            for place, series in list(found.items()):
                series.forget(now)
                if not series.told and not series.peaks:
                    del found[place]
            if not found:
                del self._namespaces[namespace]


def _size(load: ModelLoad) -> int:
    return load.in_flight + load.queued + load.held


def _sum(place: Place, series: _Series) -> Load:
    namespace, instance, model = place
    loads = series.told.values()
    return Load(
        namespace=namespace,
        instance=instance,
        model=model,
        peak=series.peaks[0][1] if series.peaks else 0,
        in_flight=sum(load.in_flight for load in loads),
        queued=sum(load.queued for load in loads),
        held=sum(load.held for load in loads),
        tokens_per_second=sum(load.tokens_per_second for load in loads),
        first_byte_seconds=max(
            (load.first_byte_seconds for load in loads if load.first_byte_seconds is not None), default=None
        ),
    )
