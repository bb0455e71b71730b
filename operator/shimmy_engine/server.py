"""Runs everything in one event loop, from the first start of the engine to the end of the drain."""

import asyncio
import logging
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from shimmy_engine.app import Runner
from shimmy_engine.gate import Gate
from shimmy_engine.gguf_header import GgufError, read_header
from shimmy_engine.journal import Journal
from shimmy_engine.metrics import Metrics
from shimmy_engine.model_file import obstacle
from shimmy_engine.service import Parts, Service
from shimmy_engine.settings import EngineSettings, Identity, Limits
from shimmy_engine.supervisor import Supervisor, plan
from shimmy_engine.tokenizer import PromptTokenizer

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that `shimmy-engine serve` is told."""

    engine: EngineSettings
    identity: Identity
    limits: Limits
    host: str
    port: int
    """0 takes a free one; which one is logged."""
    token_file: Path


async def run(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        GgufError: the model's file cannot be used.
        OSError: the port is taken, or a folder cannot be written.
    """
    service = _assemble(settings)
    runner = Runner(service, settings.token_file)
    listener = _listen(settings.host, settings.port)
    config = _hypercorn(listener, settings.limits)
    stop, closed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = asyncio.create_task(service.parts.supervisor.run())
    server = asyncio.create_task(serve(cast("ASGIFramework", runner), config, shutdown_trigger=closed.wait))
    log.info("listening on %s:%d", *listener.getsockname()[:2])
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((stopping, engine, server), return_when=asyncio.FIRST_COMPLETED)
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.limits.grace):
            await _drain(runner, settings.limits)
    runner.refusing = True
    engine.cancel()
    await asyncio.wait((engine,))
    await service.finish()
    closed.set()
    await server
    service.parts.journal.close()
    if not engine.cancelled():
        engine.result()
    log.info("drained")


def _assemble(settings: ServerSettings) -> Service:
    header = read_header(settings.engine.model_file)
    if reason := obstacle(header, settings.engine.line):
        raise GgufError("Unsupported", f"the engine cannot serve the file: {reason}")
    chosen = plan(settings.engine, header)
    settings.engine.state.mkdir(parents=True, exist_ok=True)
    return Service(
        Parts(
            identity=settings.identity,
            limits=settings.limits,
            plan=chosen,
            supervisor=Supervisor(settings.engine, settings.limits, chosen),
            gate=Gate(queue=settings.limits.queue),
            journal=Journal(settings.engine.state / "journal.jsonl"),
            metrics=Metrics(),
            tokenizer=None if chosen.line.counts_prompt else PromptTokenizer(header.metadata),
        )
    )


async def _drain(runner: Runner, limits: Limits) -> None:
    """Go on accepting while routers learn of the end, then finish what runs, then wait for the meter's last pull."""
    log.info("draining")
    runner.draining = True
    await asyncio.sleep(limits.accept_after_term)
    runner.refusing = True
    parts = runner.service.parts
    await runner.requests.wait_empty()
    await parts.gate.wait_idle()  # answers that nobody waits for any more are accounted for too
    if parts.journal.pulled:
        await parts.journal.wait_acknowledged()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), backlog=256)
    listener.setblocking(False)
    return listener


def _hypercorn(listener: socket.socket, limits: Limits) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.graceful_timeout = 1.0
    config.h2_max_concurrent_streams = limits.queue + 100  # what is past the queue gets its 429
    config.keep_alive_timeout = 75.0  # longer than the router's, which so never meets a connection that is closing
    config.keep_alive_max_requests = sys.maxsize  # by default Hypercorn drops a connection with all that runs on it
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn")
    config.include_server_header = False
    return config
