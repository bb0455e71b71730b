"""The load of every Deployment, added up over what the routers said last. Pure: the clock is given.

An autoscaler asks every 15 s and remembers only its own recommendations, so that a burst between two questions would
never be seen, and one that ended just before a question would be taken back. What it reads is therefore the most that
there was within two of its rounds (series.py).
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#how-does-a-horizontalpodautoscaler-work
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from shimmy_api import names
from shimmy_meter.series import Series
from shimmy_meter.wire import DeploymentTotal, LoadReport, LoadTotals

MOST_IN_A_NAMESPACE: Final = 2000
"""Deployments that are taken note of. Whoever tells the loads of a namespace may tell of some that do not exist."""
SILENT_SECONDS: Final = 3.0
"""A router reports every second: one that says nothing for this long has ended, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the pods of one Deployment have to do, over all routers."""

    namespace: str
    deployment: str
    instance: str
    """The ShimmyInstance's name as the value of a label, which is shorter than a name may be."""
    model: str
    """The ShimmyModel's likewise; empty where the instance's models share the pods."""
    peak: int
    """The most that was in flight, queued and held together within series.HELD_SECONDS."""
    in_flight: int = 0
    queued: int = 0
    held: int = 0
    tokens_per_second: float = 0.0
    first_byte_seconds: float | None = None
    """The longest that a router saw."""


class Loads:
    """Takes reports, and tells what they come to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._namespaces: dict[str, dict[str, Series]] = {}
        """By namespace and name of a Deployment."""
        self._heard: dict[str, tuple[float, set[Series]]] = {}
        """When each router was heard, and what it named."""
        self._swept = clock()

    def take(self, router: str, report: LoadReport) -> None:
        """Put the report of a router, named as NAMESPACE/POD, in the place of its last one."""
        now = self._now()
        _, before = self._heard.get(router, (now, set()))
        named = set()
        for load in report.loads:
            namespace = self._namespaces.setdefault(load.namespace, {})
            series = namespace.get(load.deployment)
            if series is None:
                if len(namespace) >= MOST_IN_A_NAMESPACE:
                    continue
                series = namespace[load.deployment] = Series()
            series.put(router, load, now)
            named.add(series)
        for series in before - named:
            series.drop([router], now)
        self._heard[router] = (now, named)
        if now - self._swept > SILENT_SECONDS:
            self._sweep(now)

    def of(self, namespace: str) -> list[Load]:
        """The load of each Deployment of a namespace of which there is a word or a peak."""
        return [_load(*known) for known in self._read([namespace])]

    def all(self) -> list[Load]:
        """The same of all namespaces."""
        return [_load(*known) for known in self._read(self._namespaces)]

    def totals(self) -> LoadTotals:
        """The same, pod by pod."""
        totals = tuple(_total(*known) for known in self._read(self._namespaces))
        return LoadTotals(routers=tuple(sorted(self._heard)), totals=totals)

    def routers(self) -> int:
        """How many routers are heard."""
        self._now()
        return len(self._heard)

    def _now(self) -> float:
        """The time, after those that are silent have dropped out."""
        now = self._clock()
        silent: defaultdict[Series, list[str]] = defaultdict(list)
        for router in [router for router, (at, _) in self._heard.items() if now - at > SILENT_SECONDS]:
            for series in self._heard.pop(router)[1]:
                silent[series].append(router)
        # All at once: what some of them said would else be the load of this moment.
        for series, routers in silent.items():
            series.drop(routers, now)
        return now

    def _read(self, namespaces: Iterable[str]) -> Iterator[tuple[str, str, Series]]:
        now = self._now()
        for namespace in namespaces:
            for deployment, series in sorted(self._namespaces.get(namespace, {}).items(), key=itemgetter(0)):
                series.forget(now)
                if series.known:
                    yield namespace, deployment, series

    def _sweep(self, now: float) -> None:
        """Forget Deployments of which nobody has spoken for so long that they count no more."""
        self._swept = now
        for namespace, found in list(self._namespaces.items()):
            for deployment, series in list(found.items()):
                series.forget(now)
                if not series.known:
                    del found[deployment]
            if not found:
                del self._namespaces[namespace]


def _load(namespace: str, deployment: str, series: Series) -> Load:
    told = series.told.values()
    pods = series.pods.values()
    return Load(
        namespace=namespace,
        deployment=deployment,
        instance=names.bounded(series.instance),
        model=names.bounded(series.model) if series.model else "",
        peak=series.peak,
        in_flight=sum(pod.in_flight for pod in pods),
        queued=sum(pod.queued for pod in pods),
        held=sum(load.held for load in told),
        tokens_per_second=sum(load.tokens_per_second for load in told),
        first_byte_seconds=max(
            (load.first_byte_seconds for load in told if load.first_byte_seconds is not None), default=None
        ),
    )


def _total(namespace: str, deployment: str, series: Series) -> DeploymentTotal:
    return DeploymentTotal(
        namespace=namespace,
        deployment=deployment,
        peak=series.peak,
        held=sum(load.held for load in series.told.values()),
        pods=dict(series.pods),
        holding=tuple(sorted(router for router, load in series.told.items() if load.holding)),
    )
