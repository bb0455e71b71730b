"""Learns from a pod that it is ready, before Kubernetes says so.

The kubelet asks a pod every two seconds, and what it hears goes through the API server and the controller of
EndpointSlices: longer than all that a router does between an engine that is ready and its first answer. So where load
decides on a model that has no ready pod, the router puts the kubelet's question to the starting ones itself, and
believes them for as long as Kubernetes should need to say the same.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from shimmy_api import names
from shimmy_router.fleet import Tenant
from shimmy_router.records import Endpoint, ObjectKey, Record, SliceRecord
from shimmy_router.xds.endpoints import Address, address

log = logging.getLogger(__name__)

_STEP_SECONDS: Final = 0.025
"""Between two questions to a pod."""
_MOST_PER_SECOND: Final = 200
"""Questions to all pods together: where many start, each is asked less often."""
_ASKED_SECONDS: Final = 120.0
"""Who is not ready by then may never be: the kubelet goes on asking."""
_BELIEVED_SECONDS: Final = 5.0
_PREFIX: Final = "early/"
"""Before a pod's name, in the name of what is placed for it: no object has such a name."""

Place = Callable[[ObjectKey, SliceRecord | None], None]
"""Takes an EndpointSlice that no API server has, or its end."""
Ask = Callable[[Address], Awaitable[bool]]
"""Whether a pod says that it is ready; not if it does not answer."""


class EarlyPods:
    """Follows tenants and EndpointSlices; places a slice for each that a pod is in which says that it is ready."""

    def __init__(self, place: Place, ask: Ask) -> None:
        self._place = place
        self._ask = ask
        self._homes: dict[str, str] = {}
        """Namespaces of tenants."""
        self._models: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        """By namespace and tenant: models that load decides on, as the value of a label."""
        self._slices: defaultdict[str, dict[ObjectKey, SliceRecord]] = defaultdict(dict)
        """By namespace, those with starting pods and without a ready one."""
        self._asking: defaultdict[str, dict[Endpoint, asyncio.Task[None]]] = defaultdict(dict)
        """By namespace. Several models may share a pod, which then is in a slice of each."""
        self._asked = 0

    def follow(self, name: str, tenant: Tenant | None) -> None:
        """The tenant is so from now on, or is gone."""
        before = self._homes.pop(name, None)
        if before is not None:
            del self._models[before][name]
        if tenant:
            self._homes[name] = tenant.namespace
            scaled = frozenset(names.bounded(one.name) for one in tenant.models if one.hold and not one.shared)
            self._models[tenant.namespace][name] = scaled
        for namespace in {before, tenant.namespace if tenant else None}:
            if namespace is not None:
                self._settle(namespace)

    def take(self, key: ObjectKey, old: Record | None, new: Record | None) -> None:
        """Take a record, if it is of an EndpointSlice of a model."""
        if not isinstance(old or new, SliceRecord) or key[1].startswith(_PREFIX):
            return
        slices = self._slices[key[0]]
        slices.pop(key, None)
        if isinstance(new, SliceRecord) and new.starting and all(pod.draining for pod in new.endpoints):
            slices[key] = new
        if not slices:
            del self._slices[key[0]]
        self._settle(key[0])

    async def aclose(self) -> None:
        """Ask nobody any more."""
        tasks = [task for pods in self._asking.values() for task in pods.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, namespace: str) -> None:
        """Ask those pods of a namespace that are to be asked, and no others."""
        if namespace not in self._slices and namespace not in self._asking:
            return
        models = frozenset[str]().union(*self._models.get(namespace, {}).values())
        slices = self._slices.get(namespace, {}).values()
        wanted = {pod for found in slices if found.model in models for pod in found.starting}
        asking = self._asking[namespace]
        for pod in asking.keys() - wanted:
            asking.pop(pod).cancel()
        for pod in wanted - asking.keys():
            asking[pod] = asyncio.create_task(self._follow(namespace, pod))
        if not asking:
            del self._asking[namespace]

    async def _follow(self, namespace: str, pod: Endpoint) -> None:
        self._asked += 1
        try:
            async with asyncio.timeout(_ASKED_SECONDS):
                await self._until_ready(address(pod))
        except TimeoutError:
            return
        finally:
            self._asked -= 1
        log.info("%s/%s says that it is ready", namespace, pod.pod)
        found = {key: one for key, one in self._slices.get(namespace, {}).items() if pod in one.starting}
        try:
            for key, one in found.items():
                self._place(_key(key, pod), SliceRecord(one.namespace, one.model, one.instance, (pod,)))
            await asyncio.sleep(_BELIEVED_SECONDS)
        finally:
            for key in found:
                self._place(_key(key, pod), None)

    async def _until_ready(self, pod: Address) -> None:
        while True:
            if await self._ask(pod):
                return
            await asyncio.sleep(max(_STEP_SECONDS, self._asked / _MOST_PER_SECOND))


def _key(of: ObjectKey, pod: Endpoint) -> ObjectKey:
    return (of[0], f"{_PREFIX}{of[1]}/{pod.address}")
