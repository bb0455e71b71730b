"""How occupied the pods are that share a model, as their runners tell it, and who has to hear of a change. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shimmy_api.load import PodLoad
from shimmy_router.fleet import Model
from shimmy_router.records import Endpoint
from shimmy_router.xds.endpoints import UNREACHABLE, Address, Slot, address

_MOST: Final = 1_000_000
"""Requests that a pod can have at most, for a runner that tells nonsense."""


@dataclass(frozen=True, slots=True, order=True)
class Watched:
    """A pod whose load is wanted."""

    address: Address
    engine_token: str = field(repr=False)


class Occupancy:
    """The load of each pod that is watched."""

    def __init__(self, changed: Callable[[str], None], *, limit: int) -> None:
        """At most `limit` pods are watched. `changed` hears the name of each cluster whose load is to be looked at."""
        self.models: dict[str, Model] = {}
        """By cluster, those whose pods are watched."""
        self._changed = changed
        self._limit = limit
        self._owned: dict[str, dict[str, Model]] = {}
        self._clusters: dict[Watched, set[str]] = {}
        self._loads: dict[Watched, float] = {}
        self._slots: dict[Watched, Slot] = {}
        self._work: dict[Watched, PodLoad] = {}

    def follow(self, owner: str, models: Iterable[Model]) -> tuple[set[Watched], set[Watched]]:
        """These are all models of the owner from now on. Returns the pods to watch now, and those to watch no more."""
        before, after = self._owned.pop(owner, {}), {model.cluster: model for model in models if _is_watched(model)}
        if after:
            self._owned[owner] = after
        differ = [cluster for cluster in before.keys() | after.keys() if before.get(cluster) != after.get(cluster)]
        begun, ended = set[Watched](), set[Watched]()
        for cluster in sorted(differ):
            old, new = _pods(before.get(cluster)), _pods(after.get(cluster))
            begun.update(pod for pod in sorted(new - old) if self._join(pod, cluster))
            ended.update(pod for pod in old - new if self._leave(pod, cluster))
            self.models.pop(cluster, None)
            if cluster in after:
                self.models[cluster] = after[cluster]
                self._changed(cluster)  # what was compiled says nothing of loads
        return begun - ended, ended - begun

    def set(self, pod: Watched, load: float | None, slot: Slot | None = None, work: PodLoad | None = None) -> None:
        """The pod's load is known now, or no more; `slot` where several models share it; `work` if it tells it."""
        if pod not in self._clusters:
            return
        self._work.pop(pod, None)
        if work is not None:
            self._work[pod] = work
        if (self._loads.get(pod), self._slots.get(pod)) == (load, slot):
            return
        self._loads.pop(pod, None)
        self._slots.pop(pod, None)
        if load is not None:
            self._loads[pod] = load
        if slot is not None:
            self._slots[pod] = slot
        for cluster in self._clusters[pod]:
            self._changed(cluster)

    def loads(self, model: Model) -> dict[Address, float]:
        """What is known of the model's pods, as its own engine token got to know it."""
        return {pod.address: self._loads[pod] for pod in _pods(model) if pod in self._loads}

    def slots(self, model: Model) -> dict[Address, Slot]:
        """What is known of those of its pods that it shares with other models."""
        return {pod.address: self._slots[pod] for pod in _pods(model) if pod in self._slots}

    def work(self, model: Model) -> dict[str, PodLoad]:
        """What its pods tell that they have to do, by name."""
        pods = {pod.pod: self._work.get(Watched(address(pod), model.engine_token)) for pod in _open(model)}
        return {name: work for name, work in pods.items() if name and work}

    def _join(self, pod: Watched, cluster: str) -> bool:
        """Whether it was not watched before."""
        new = pod not in self._clusters
        if new and len(self._clusters) >= self._limit:
            return False
        self._clusters.setdefault(pod, set()).add(cluster)
        return new

    def _leave(self, pod: Watched, cluster: str) -> bool:
        """Whether it is watched no more."""
        clusters = self._clusters.get(pod, set())
        clusters.discard(cluster)
        if clusters or self._clusters.pop(pod, None) is None:
            return False
        for known in (self._loads, self._slots, self._work):
            known.pop(pod, None)
        return True


def _is_watched(model: Model) -> bool:
    """Whether somebody needs to know the load of its pods: where there is a choice, or load decides on their number."""
    pods = _open(model)
    return len(pods) > 1 or (bool(pods) and model.hold is not None)


def _open(model: Model) -> list[Endpoint]:
    """Its pods that take requests."""
    return [] if model.shared else [pod for pod in model.endpoints if not pod.draining]


def _pods(model: Model | None) -> set[Watched]:
    return {Watched((pod.address, pod.port), model.engine_token) for pod in _open(model)} if model else set()


def moves(loads: Mapping[Address, float]) -> dict[Address, list[Address]]:
    """The idle pods of a model that requests wait for at its others, each with those others in the order to ask them.

    The longest queue comes first. Routers that know the same choose the same, so that a runner can tell that two of
    them mean one idle pod.
    """
    known = {pod: load for pod, load in loads.items() if load < UNREACHABLE}
    found = {}
    for idle in sorted(pod for pod, load in known.items() if load == 0):
        queues = sorted((pod for pod, load in known.items() if load > 1), key=lambda pod: (-known[pod], pod))
        if not queues:
            break
        known[queues[0]] -= 1
        found[idle] = queues
    return found


def parse_load(line: bytes) -> tuple[float, Slot | None, PodLoad]:
    """How occupied a pod is, of one that several models share, which one it has, and what it has to do.

    From a line of its stream. A restart of its engine counts as a request more that occupies it.

    Raises:
        ValueError: it is none.
    """
    try:
        told = json.loads(line)
        load = told["inFlight"] + told["queued"]
        slot = Slot(str(told["model"]), float(told["swapped"]), float(told["used"])) if "model" in told else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no load: {type(error).__name__}") from error
    if not isinstance(load, int) or not 0 <= load <= _MOST:
        raise ValueError("no number of requests")
    work = PodLoad(in_flight=told["inFlight"], queued=told["queued"])
    return float(load + (told.get("ready") is False)), slot, work
