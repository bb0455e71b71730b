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
    """One model's last reports by router, and the peaks that may still be the highest, highest first."""

    told: dict[str, tuple[float, ModelLoad]] = field(default_factory=dict)
    peaks: deque[tuple[float, int]] = field(default_factory=deque)

    def alive(self, now: float) -> list[ModelLoad]:
        return [load for at, load in self.told.values() if now - at <= SILENT_SECONDS]

    def note(self, now: float) -> None:
        total = _total(self.alive(now))
        while self.peaks and self.peaks[-1][1] <= total:
            self.peaks.pop()
        self.peaks.append((now, total))

    def forget(self, now: float) -> None:
        while self.peaks and now - self.peaks[0][0] > HELD_SECONDS:
            self.peaks.popleft()

    def peak(self) -> int:
        return self.peaks[0][1] if self.peaks else 0


Key = tuple[str, str]
"""Instance and model."""


class Loads:
    """Takes reports, and tells what they come to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._namespaces: dict[str, dict[Key, _Series]] = {}
        self._named: dict[str, tuple[float, frozenset[tuple[str, Key]]]] = {}
        self._swept = clock()

    def take(self, report: LoadReport) -> None:
        """Put a router's report in the place of its last one."""
        now = self._clock()
        _, before = self._named.get(report.router, (now, frozenset()))
        named = frozenset((load.namespace, (load.instance, load.model)) for load in report.loads)
        for place in before - named:
            if series := self._find(place):
                series.told.pop(report.router, None)
        for load in report.loads:
            key = (load.instance, load.model)
            series = self._namespaces.setdefault(load.namespace, {}).setdefault(key, _Series())
            series.told[report.router] = (now, load)
            series.note(now)
            series.forget(now)
        self._named[report.router] = (now, named)
        if now - self._swept > SILENT_SECONDS:
            self._sweep(now)

    def of(self, namespace: str) -> list[Load]:
        """The load of each model of a namespace that a router named within HELD_SECONDS."""
        return list(self._read([namespace], self._clock()))

    def all(self) -> list[Load]:
        """The same of all namespaces."""
        return list(self._read(self._namespaces, self._clock()))

    def routers(self) -> int:
        """How many routers are heard."""
        now = self._clock()
        return sum(now - at <= SILENT_SECONDS for at, _ in self._named.values())

    def _find(self, place: tuple[str, Key]) -> _Series | None:
        namespace, key = place
        return self._namespaces.get(namespace, {}).get(key)

    def _read(self, namespaces: Iterable[str], now: float) -> Iterator[Load]:
        for namespace in namespaces:
            for (instance, model), series in sorted(self._namespaces.get(namespace, {}).items()):
                series.forget(now)
                alive = series.alive(now)
                if alive or series.peaks:
                    yield _sum(namespace, instance, model, series.peak(), alive)

    def _sweep(self, now: float) -> None:
        """Forget routers and models of which nobody has spoken for so long that they count no more."""
        self._swept = now
        for router, (at, named) in list(self._named.items()):
            if now - at > SILENT_SECONDS:
                del self._named[router]
                for place in named:
                    if series := self._find(place):
                        series.told.pop(router, None)
        for namespace, found in list(self._namespaces.items()):
            for key, series in list(found.items()):
                series.forget(now)
                if not series.told and not series.peaks:
                    del found[key]
            if not found:
                del self._namespaces[namespace]


def _total(loads: Iterable[ModelLoad]) -> int:
    return sum(load.in_flight + load.queued + load.held for load in loads)


def _sum(namespace: str, instance: str, model: str, peak: int, loads: list[ModelLoad]) -> Load:
    return Load(
        namespace=namespace,
        instance=instance,
        model=model,
        peak=peak,
        in_flight=sum(load.in_flight for load in loads),
        queued=sum(load.queued for load in loads),
        held=sum(load.held for load in loads),
        tokens_per_second=sum(load.tokens_per_second for load in loads),
        first_byte_seconds=max(
            (load.first_byte_seconds for load in loads if load.first_byte_seconds is not None), default=None
        ),
    )
