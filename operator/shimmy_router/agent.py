"""The agent: from a source's objects to snapshots, and from snapshots to Envoy."""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import grpc

from shimmy_router import persist
from shimmy_router.ads import DiscoveryService
from shimmy_router.als import AccessLogService
from shimmy_router.assembler import Assembler, expire
from shimmy_router.debug import serve_debug
from shimmy_router.fleet import Fleet
from shimmy_router.index import compile_fleet
from shimmy_router.loads.rates import Rates
from shimmy_router.loads.reporter import Reporter
from shimmy_router.loads.sender import MeterAddress
from shimmy_router.metrics import Metrics
from shimmy_router.occupancy_updates import OccupancyUpdates
from shimmy_router.own_zone import OwnZone
from shimmy_router.processing import Admitted, Call, ProcessingService, Refused
from shimmy_router.publisher import Publisher
from shimmy_router.quotas import Quotas
from shimmy_router.records import ObjectKey, SliceRecord
from shimmy_router.server import serve
from shimmy_router.statistics import envoy_statistics
from shimmy_router.store import Store
from shimmy_router.wake.early import EarlyPods
from shimmy_router.wake.holds import Holds
from shimmy_router.wake.metrics import WakeMetrics
from shimmy_router.wake.probe import Probe
from shimmy_router.wake.waker import Start, Waker
from shimmy_router.wake.ways import Ways
from shimmy_router.xds.resources import ENDPOINTS, ROUTES

log = logging.getLogger(__name__)

Source = Callable[[Store], Awaitable[None]]
"""Keeps a store up to date until it is cancelled."""
Starting = Callable[[], AbstractAsyncContextManager[Start]]
"""Gives what starts first pods."""

_GARBAGE: Final = (700, 10, 10_000)
"""Python's own, but for the last: a look through all objects of a thousand tenants stops the agent for 0.2 s."""
_STOP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where the agent listens and keeps its snapshot."""

    socket: Path
    """Unix socket for Envoy."""
    snapshot: Path
    admin_socket: Path
    """Unix socket of Envoy's admin interface."""
    host: str
    port: int
    """Of metrics, probes and other routers."""
    tenant: str | None
    """The only one that is served; None for all that have no router of their own."""
    debug_port: int
    """Of what explains requests, on the loopback address; 0 for none."""
    name: str
    """This router's: its pod's."""
    meter: MeterAddress | None = None
    """The metrics server that is told of loads, if there is one."""


async def run(source: Source, starting: Starting, settings: AgentSettings, stopped: asyncio.Event) -> None:
    """Serve until `stopped` is set.

    The socket for Envoy opens only when there is something to tell: a snapshot of all objects, or the one that an
    earlier agent saved. Until then Envoy does not listen, or goes on with what it has.
    """
    gc.set_threshold(*_GARBAGE)
    async with starting() as start:
        await _run(source, start, settings, stopped)


async def _run(source: Source, start: Start, settings: AgentSettings, stopped: asyncio.Event) -> None:
    publisher, metrics = Publisher(), Metrics()
    if saved := persist.load(settings.snapshot):
        log.info("serving the saved snapshot %s until all objects are listed", saved.version)
        publisher.publish(publisher.snapshot.towards(saved), time.time())
    quotas, occupancy = Quotas(settings.name), OccupancyUpdates(publisher, metrics.moved)
    metrics.registry.register(quotas)
    discovery = DiscoveryService(publisher, metrics)
    wake_metrics = WakeMetrics(metrics.registry)
    waker = Waker(start, wake_metrics)
    holds = Holds(waker, wake_metrics, partial(discovery.has, ENDPOINTS), occupancy.loads)
    discovery.listen(holds.release)
    ways, rates = Ways(), Rates()
    probe = Probe()

    def place(key: ObjectKey, record: SliceRecord | None) -> None:
        store.place("EndpointSlice", key, record)

    early = EarlyPods(place, probe.ask)
    followers = (quotas.learn, metrics.know, occupancy.follow, holds.follow, ways.follow, rates.follow, early.follow)
    takers = (quotas.take, OwnZone(settings.name, occupancy.locate).take, early.take)
    assembler = Assembler(publisher, metrics, quotas, followers, takers, only=settings.tenant)

    async def decide(call: Call) -> Admitted | Refused:
        """Each filter asks for itself: the limits' first, then the one that holds."""
        return await (holds.decide(call) if call.hold else quotas.limiter.decide(call))

    services = (
        discovery,
        AccessLogService((metrics.count, quotas.count, rates.count)),
        ProcessingService(decide),
    )
    store = assembler.store

    async def fleet() -> Fleet | None:
        """As the agent knows it now. Put together anew: nobody asks often."""
        records = list(store.records())
        return await asyncio.to_thread(compile_fleet, records, settings.tenant) if store.synced else None

    tasks = [
        asyncio.ensure_future(source(store)),
        asyncio.create_task(assembler.run()),
        asyncio.create_task(quotas.run(assembler.judged)),
        asyncio.create_task(occupancy.run()),
        asyncio.create_task(holds.run()),
        asyncio.create_task(expire(publisher)),
        asyncio.create_task(persist.Keeper(publisher, settings.snapshot, assembler.unjudged).run()),
        asyncio.create_task(_serve_envoy(services, publisher, settings.socket)),
    ]
    if settings.meter:
        closed = partial(ways.closed, has=partial(discovery.has, ROUTES))
        reporter = Reporter(settings.name, holds, rates, occupancy.work, closed)
        tasks.append(asyncio.create_task(reporter.run(settings.meter)))
    stop = asyncio.create_task(stopped.wait())
    try:
        async with (
            serve(
                settings.host,
                settings.port,
                metrics.registry,
                discovery.settled.is_set,
                quotas.peers.routes(),
                statistics=partial(envoy_statistics, settings.admin_socket),
            ),
            serve_debug(settings.debug_port, fleet, lambda: discovery.refused),
        ):
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, stop):
            task.cancel()
        await asyncio.gather(*tasks, stop, return_exceptions=True)
        for part in (waker, early, probe):
            await part.aclose()


async def _serve_envoy(
    services: Sequence[DiscoveryService | AccessLogService | ProcessingService], publisher: Publisher, socket: Path
) -> None:
    await publisher.available.wait()
    await asyncio.to_thread(socket.unlink, missing_ok=True)  # an agent that was killed leaves it
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(service.handler() for service in services))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    log.info("Envoy may connect to %s", socket)
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(_STOP_SECONDS)
