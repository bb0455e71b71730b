"""Keeps the published snapshot equal to what the store's objects describe."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shimmy_router.fleet import Tenant
from shimmy_router.index import FleetIndex
from shimmy_router.metrics import Metrics
from shimmy_router.publisher import Publisher
from shimmy_router.quotas import Quotas
from shimmy_router.records import ObjectKey, PeersRecord, Record
from shimmy_router.store import Store
from shimmy_router.xds.compiler import Compiler
from shimmy_router.xds.resources import Place, Resource, Update
from shimmy_router.xds.routes import routes
from shimmy_router.xds.tables import tables

Follower = Callable[[str, Tenant | None], None]
Taker = Callable[[ObjectKey, Record | None, Record | None], None]

log = logging.getLogger(__name__)

_SLICE_SECONDS: Final = 0.005
"""So long tenants are compiled in one go. Then what they give is published, and newer changes come first."""
_IDLE_SECONDS: Final = 3600.0


class Assembler:
    """Takes the objects of its store; publishes what differs, once all objects are known."""

    def __init__(
        self,
        publisher: Publisher,
        metrics: Metrics,
        quotas: Quotas,
        followers: Sequence[Follower] = (),
        takers: Sequence[Taker] = (),
        *,
        only: str | None = None,
    ) -> None:
        """`followers` hear of each tenant, by name, that is so from now on, or is gone.

        `takers` hear of each record that differs. `only`: the tenant of a router that serves one alone.
        """
        self._followers = followers
        self._takers = takers
        self._publisher = publisher
        self._metrics = metrics
        self._quotas = quotas
        self._index = FleetIndex(only)
        self._compiler = Compiler()
        self._changed = asyncio.Event()
        self._denied: dict[str, tuple[str, ...]] = {}
        self._queue: dict[str, None] = {}
        """Tenants to compile, in order."""
        self.store = Store(self._take, self._changed.set)

    async def run(self) -> None:
        """Publish after each change; ends only by cancellation. Changes in between go together."""
        while not self.store.synced:
            await self._changed.wait()
            self._changed.clear()
        self._metrics.synced()
        await self._begin()
        while True:
            await self._changed.wait()
            while self._changed.is_set() or self._queue:
                self._changed.clear()
                # What has just changed goes before what still waits of a change that concerns many tenants.
                self._queue = {**dict.fromkeys(self._index.refresh()), **self._queue}
                self._publish(self._compile_slice())
                if not self._queue:
                    self._publish(self._compiler.retire())
                    self._tell_denied()
                await asyncio.sleep(0)

    def judged(self, names: Iterable[str]) -> None:
        """Compile these tenants anew: what is said of their use differs."""
        self._queue.update(dict.fromkeys(names))
        self._changed.set()

    def unjudged(self) -> list[Resource]:
        """The routes of tenants that are refused now, as they are when they are not."""
        tenants = (self._index.tenant(name) for name in self._quotas.verdicts)
        return [routes(tenant, table) for tenant in tenants if tenant for table in tables(tenant)]

    async def _begin(self) -> None:
        """Publish the first whole snapshot, in the place of one that was saved."""
        self._queue.update(dict.fromkeys(self._index.refresh()))
        while self._queue:
            self._compile_slice()
            await asyncio.sleep(0)
            self._queue.update(dict.fromkeys(self._index.refresh()))
        self._compiler.retire()
        self._tell_denied()
        gc.freeze()  # most of it stays
        self._publish(self._publisher.snapshot.towards(self._compiler.snapshot()), first=True)

    def _compile_slice(self) -> Update:
        end = time.monotonic() + _SLICE_SECONDS
        put: dict[Place, Resource] = {}
        drop: list[Place] = []
        while self._queue and time.monotonic() < end:
            name = next(iter(self._queue))
            del self._queue[name]
            tenant = self._index.tenant(name)
            for follow in self._followers:
                follow(name, tenant)
            update = self._compiler.update(name, tenant, self._quotas.verdicts.get(name))
            put.update({(resource.type_url, resource.name): resource for resource in update.put})
            drop.extend(update.drop)
        return Update(tuple(put.values()), tuple(drop))

    def _publish(self, update: Update, *, first: bool = False) -> None:
        if (update or first) and self._publisher.publish(update, time.time()):
            self._metrics.published()

    def _tell_denied(self) -> None:
        """Say which tokens lead nowhere since an older tenant names the same issuer in another way, or the subject."""
        denied = dict(self._index.tokens.denied)
        for tenant in denied.keys() - {t for t, entries in self._denied.items() if denied.get(t) == entries}:
            log.warning("tenant %s: an older tenant has the issuer or a subject of tokens %s", tenant, denied[tenant])
        self._denied = denied
        self._metrics.denied(sum(map(len, denied.values())))

    def _take(self, kind: str, key: ObjectKey, old: Record | None, new: Record | None) -> None:
        for take in self._takers:
            take(key, old, new)
        if not isinstance(old, PeersRecord) and not isinstance(new, PeersRecord):
            self._index.update(kind, key, old, new)
        self._changed.set()


async def expire(publisher: Publisher) -> None:
    """Drop what has ended, when it ends; ends only by cancellation. Envoy does so too, even where the agent is away."""
    with publisher.changes() as changes:
        while True:
            changes.event.clear()
            changes.take()
            publisher.expire(time.time())
            end = publisher.snapshot.next_end()
            pause = _IDLE_SECONDS if end is None else min(max(end - time.time(), 0.0), _IDLE_SECONDS)
            try:
                await asyncio.wait_for(changes.event.wait(), pause)
            except TimeoutError:
                continue
