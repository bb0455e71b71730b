"""Learns from a pod that it is ready, before Kubernetes says so.

The kubelet asks a pod every two seconds, and what it hears goes through the API server and the controller of
EndpointSlices: longer than all that a router does between an engine that is ready and its first answer. So where a
model has no other pod, the router puts the kubelet's question to the starting ones itself, and believes them for as
long as Kubernetes should need to say the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from shimmy_router.records import Endpoint, ObjectKey, Record, SliceRecord
from shimmy_router.xds.endpoints import Address, address

log = logging.getLogger(__name__)

_STEP_SECONDS: Final = 0.025
"""Between two questions to a pod."""
_MOST_PER_SECOND: Final = 200
"""Questions to all pods together: where many start, each is asked less often."""
_MOST_PODS: Final = 1000
"""That are asked at the same time; of further ones Kubernetes tells."""
_BELIEVED_SECONDS: Final = 5.0
_PREFIX: Final = "early/"
"""Before a pod's name, in the name of what is placed for it: no object has such a name."""

Place = Callable[[ObjectKey, SliceRecord | None], None]
"""Takes an EndpointSlice that no API server has, or its end."""
Ask = Callable[[Address], Awaitable[bool]]
"""Whether a pod says that it is ready; not if it does not answer."""


class EarlyPods:
    """Follows the records of EndpointSlices, and places one for each pod that is ready before its own says so."""

    def __init__(self, place: Place, ask: Ask) -> None:
        self._place = place
        self._ask = ask
        self._pods: dict[ObjectKey, dict[Endpoint, asyncio.Task[None]]] = {}
        """By EndpointSlice, those that start."""
        self._asked = 0

    def take(self, key: ObjectKey, old: Record | None, new: Record | None) -> None:
        """Take a record, if it is of an EndpointSlice of a model."""
        if not isinstance(old or new, SliceRecord) or key[1].startswith(_PREFIX):
            return
        known = self._pods.pop(key, {})
        starting = new.starting if isinstance(new, SliceRecord) and not _serves(new) else ()
        for pod in known.keys() - starting:
            known.pop(pod).cancel()
            self._place(_key(key, pod), None)
        if isinstance(new, SliceRecord) and starting:
            self._pods[key] = {pod: known.get(pod) or self._begin(key, new, pod) for pod in starting}

    async def aclose(self) -> None:
        """Ask nobody any more."""
        tasks = [task for pods in self._pods.values() for task in pods.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: ObjectKey, found: SliceRecord, pod: Endpoint) -> asyncio.Task[None]:
        placed = SliceRecord(found.namespace, found.model, found.instance, (pod,))
        return asyncio.create_task(self._follow(_key(key, pod), placed, pod))

    async def _follow(self, key: ObjectKey, placed: SliceRecord, pod: Endpoint) -> None:
        if self._asked >= _MOST_PODS:
            return
        self._asked += 1
        try:
            await self._until_ready(address(pod))
        finally:
            self._asked -= 1
        log.info("%s/%s says that it is ready", placed.namespace, pod.pod)
        self._place(key, placed)
        await asyncio.sleep(_BELIEVED_SECONDS)
        self._place(key, None)

    async def _until_ready(self, pod: Address) -> None:
        while True:
            if await self._ask(pod):
                return
            await asyncio.sleep(max(_STEP_SECONDS, self._asked / _MOST_PER_SECOND))


def _serves(found: SliceRecord) -> bool:
    return any(not pod.draining for pod in found.endpoints)


def _key(of: ObjectKey, pod: Endpoint) -> ObjectKey:
    return (of[0], f"{_PREFIX}{of[1]}/{pod.address}")
