"""Runs everything in one event loop, from the first start of the engine to the end of the drain."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from shimmy_engine import connections
from shimmy_engine.admin import admin_app
from shimmy_engine.adopted import identify_server
from shimmy_engine.app import Runner
from shimmy_engine.gate import Gate
from shimmy_engine.journal import Journal
from shimmy_engine.metrics import Metrics
from shimmy_engine.programs import find_program, identify
from shimmy_engine.served import Engine, prepare
from shimmy_engine.service import Parts, Service
from shimmy_engine.settings import EngineSettings, Identity, Limits, ModelSettings
from shimmy_engine.slot import Slot

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that `shimmy-engine serve` is told."""

    models: Mapping[str, ModelSettings]
    """By name; any of them can be loaded."""
    first: str
    """Name of the one that is served from the start."""
    on_demand: bool
    """Whether a request for another one of them loads it."""
    engine: EngineSettings
    identity: Identity
    limits: Limits
    host: str
    port: int
    """0 takes a free one; which one is logged."""
    admin_port: int | None
    """Port of the private interface; None for no such interface."""
    token_file: Path


async def run(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        UnknownShimmyError: there is no Shimmy that can be served.
        GgufError: the model's file cannot be used.
        OSError: the port is taken, or a folder cannot be written.
    """
    service = _assemble(settings, await _engine(settings.engine))
    slot, runner = service.parts.slot, Runner(service, settings.token_file)
    stop, closed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    apps: list[tuple[object, int, str]] = [(runner, settings.port, "listening")]
    if settings.admin_port is not None:
        admin = admin_app(slot, runner.distrust)
        apps.append((admin, settings.admin_port, "private interface"))
    connections.install()
    servers = [_serve(app, settings.host, port, what, settings.limits, closed) for app, port, what in apps]
    tasks = [asyncio.create_task(slot.run()), asyncio.create_task(service.recycle())]
    await asyncio.wait((asyncio.create_task(stop.wait()), *tasks, *servers), return_when=asyncio.FIRST_COMPLETED)
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.limits.grace):
            await _drain(runner, settings.limits)
    runner.refusing = True
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await service.finish()
    closed.set()
    await asyncio.gather(*servers)
    service.parts.journal.close()
    for task in tasks:
        if not task.cancelled():
            task.result()
    log.info("drained")


async def _engine(settings: EngineSettings) -> Engine:
    if settings.adopted_url:
        release, model = await identify_server(settings.adopted_url, settings.adopted_model)
        engine = Engine(release, settings.state, None, settings.require_gpu, settings.adopted_url, model)
    else:
        binary = find_program(settings.binary)
        engine = Engine(await asyncio.to_thread(identify, binary), settings.state, binary, settings.require_gpu)
    release = engine.release
    log.info("Shimmy %s, %s line, %s build", release.version, release.quirks.line, release.quirks.build)
    if not release.measured:
        log.warning(
            "Shimmy %s is newer than what was measured: it is treated like the newest that was", release.version
        )
    return engine


def _assemble(settings: ServerSettings, engine: Engine) -> Service:
    limits = settings.limits
    make = partial(prepare, engine=engine, limits=limits)
    first = make(settings.models[settings.first])
    settings.engine.state.mkdir(parents=True, exist_ok=True)
    gate, metrics = Gate(queue=limits.queue), Metrics()
    slot = Slot(
        settings.models,
        first,
        make,
        gate,
        start_seconds=limits.start,
        on_demand=settings.on_demand,
        counted=metrics.swapped,
    )
    journal = Journal(settings.engine.state / "journal.jsonl")
    return Service(Parts(settings.identity, limits, slot, gate, journal, metrics))


async def _drain(runner: Runner, limits: Limits) -> None:
    """Go on accepting while routers learn of the end, then finish what runs, then wait for the meter's last pull."""
    log.info("draining")
    runner.drain()
    await asyncio.sleep(limits.accept_after_term)
    runner.refusing = True
    parts = runner.service.parts
    await runner.requests.wait_empty()
    await parts.gate.wait_idle()  # answers that nobody waits for any more are accounted for too
    if parts.journal.pulled:
        await parts.journal.wait_acknowledged()


def _serve(app: object, host: str, port: int, what: str, limits: Limits, closed: asyncio.Event) -> "asyncio.Task[None]":
    listener = socket.create_server((host, port), backlog=256)
    listener.setblocking(False)
    log.info("%s on %s:%d", what, *listener.getsockname()[:2])
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 1.0
    config.h2_max_concurrent_streams = limits.queue + 100  # what is past the queue gets its 429
    config.keep_alive_timeout = 75.0  # longer than the router's, which so never meets a connection that is closing
    config.keep_alive_max_requests = sys.maxsize  # by default Hypercorn drops a connection with all that runs on it
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn")
    config.include_server_header = False
    return asyncio.create_task(serve(cast("ASGIFramework", app), config, shutdown_trigger=closed.wait))
