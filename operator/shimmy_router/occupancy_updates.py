"""Keeps the endpoints of models with several pods up to date with how occupied these are, beside the compiled fleet."""

import asyncio
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from shimmy_api.load import PodLoad
from shimmy_router.fleet import Model, Tenant
from shimmy_router.occupancy import Occupancy, Watched, moves
from shimmy_router.occupancy_streams import OccupancyStreams
from shimmy_router.publisher import Publisher
from shimmy_router.records import Endpoint
from shimmy_router.slot_choice import SlotChoice
from shimmy_router.xds.endpoints import Address, Loads, Slots, address, best_to_load, endpoints, having_pods

MAX_STREAMS: Final = 10_000
"""Pods that are watched at most; further ones are taken as they come."""
_PAUSE: Final = 0.002
"""Seconds between two updates at least: changes in between go together."""

_MOMENT: Final = 0.25
"""Seconds in which a request that is sent to an idle pod should have come there."""


class OccupancyUpdates:
    """Amends what the publisher publishes."""

    def __init__(self, publisher: Publisher, moved: Callable[[Model], None]) -> None:
        """`moved` hears of each request of a model that a pod sends to an idle one."""
        self._publisher = publisher
        self._moved = moved
        self._occupancy = Occupancy(self._note, limit=MAX_STREAMS)
        self._streams = OccupancyStreams(self._occupancy.set)
        self._slots = SlotChoice()
        self._zone = ""
        self._due: set[str] = set()
        self._changed = asyncio.Event()
        self._taken: dict[Address, float] = {}
        """Idle pods that a request is on its way to, and until when that is believed."""
        self._moving: set[asyncio.Task[None]] = set()

    def follow(self, name: str, tenant: Tenant | None) -> None:
        """The tenant is so from now on, or is gone."""
        begun, ended = self._occupancy.follow(name, tenant.models if tenant else ())
        for pod in ended:
            self._streams.end(pod)
        for pod in begun:
            self._streams.begin(pod)

    def locate(self, zone: str) -> None:
        """The router is in this zone; empty if that is not known."""
        self._zone = zone
        for cluster in self._occupancy.models:
            self._note(cluster)

    def loads(self, model: Model) -> Loads:
        """How occupied the model's pods are, as far as that is known."""
        return self._occupancy.loads(model)

    def work(self, model: Model) -> dict[str, PodLoad]:
        """What they have to do, by name."""
        return self._occupancy.work(model)

    async def run(self) -> None:
        """Publish each change until this is cancelled."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                due, self._due = self._due, set()
                models = [self._occupancy.models[cluster] for cluster in due & self._occupancy.models.keys()]
                for model in models:
                    self._amend(model)
                await asyncio.sleep(_PAUSE)
        finally:
            for task in self._moving:
                task.cancel()
            await self._streams.aclose()

    def _amend(self, model: Model) -> None:
        if sum(not pod.draining for pod in model.endpoints) < 2:
            return  # there is no choice
        loads, slots = self._occupancy.loads(model), self._occupancy.slots(model)
        having = having_pods(model.name, model.endpoints, slots)
        fitting = having or self._to_load(model, loads, slots)
        self._publisher.amend([endpoints(model, loads, fitting, self._zone)])
        # A request moves to a pod that has the model: one that waits is not worth a change.
        known = {address(pod) for pod in having}
        self._move(model, {pod: load for pod, load in loads.items() if pod in known})
        if having:
            self._slots.settled(model.cluster)

    def _to_load(self, model: Model, loads: Loads, slots: Slots) -> list[Endpoint]:
        """The pod that shall load the model, which none has."""
        best = best_to_load(model.endpoints, loads, slots)
        if best is None:
            return []
        loop = asyncio.get_running_loop()
        pods = {address(pod): pod for pod in model.endpoints if not pod.draining and address(pod) in slots}
        busy = [pod for pod in pods if loads.get(pod)]
        chosen, again = self._slots.choose(model.cluster, address(best), busy, loop.time())
        if again:
            loop.call_later(again, self._note, model.cluster)
        return [pods[chosen]]

    def _move(self, model: Model, loads: Loads) -> None:
        """Where a pod is idle and requests wait at others, have one of them sent there."""
        now = time.monotonic()
        for pod in [pod for pod, until in self._taken.items() if until <= now or loads.get(pod)]:
            del self._taken[pod]
        for idle, queues in moves({pod: load for pod, load in loads.items() if pod not in self._taken}).items():
            self._taken[idle] = now + _MOMENT
            task = asyncio.create_task(self._fill(model, idle, queues))
            self._moving.add(task)
            task.add_done_callback(self._moving.discard)

    async def _fill(self, model: Model, idle: Address, queues: Sequence[Address]) -> None:
        for queue in queues:
            status = await self._streams.release(Watched(queue, model.engine_token), model.name, idle)
            if status == HTTPStatus.OK:
                self._moved(model)
            if status in {HTTPStatus.OK, HTTPStatus.CONFLICT}:  # the latter: another router was first
                return
        self._taken.pop(idle, None)

    def _note(self, cluster: str) -> None:
        self._due.add(cluster)
        self._changed.set()
