"""Keeps the endpoints of models with several pods up to date with how occupied these are, beside the compiled fleet."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from shimmy_router.fleet import Model, Tenant
from shimmy_router.occupancy import Occupancy, Watched, moves
from shimmy_router.occupancy_streams import OccupancyStreams
from shimmy_router.publisher import Publisher
from shimmy_router.xds.endpoints import Address, Loads, endpoints

MAX_STREAMS: Final = 2000
"""Pods that are watched at most; further ones are taken as they come."""
_PAUSE: Final = 0.002
"""Seconds between two updates at least: changes in between go together."""

_MOMENT: Final = 0.25
"""Seconds in which a request that is sent to an idle pod should have come there."""


class OccupancyUpdates:
    """Amends what the publisher publishes."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._occupancy = Occupancy(self._note, limit=MAX_STREAMS)
        self._streams = OccupancyStreams(self._occupancy.set)
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

    async def run(self) -> None:
        """Publish each change until this is cancelled."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                due, self._due = self._due, set()
                models = [self._occupancy.models[cluster] for cluster in due & self._occupancy.models.keys()]
                loads = {model.cluster: self._occupancy.loads(model) for model in models}
                self._publisher.amend([endpoints(model, loads[model.cluster]) for model in models])
                for model in models:
                    self._move(model, loads[model.cluster])
                await asyncio.sleep(_PAUSE)
        finally:
            for task in self._moving:
                task.cancel()
            await self._streams.aclose()

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
            if await self._streams.release(Watched(queue, model.engine_token), model.name, idle):
                return
        self._taken.pop(idle, None)

    def _note(self, cluster: str) -> None:
        self._due.add(cluster)
        self._changed.set()
