"""The metrics server as a process: listens, and keeps up with certificates and the front proxy."""

import asyncio
import gc
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from shimmy_meter.authorization import Authorizer
from shimmy_meter.bearers import Bearers
from shimmy_meter.kube import ApiServer, UnavailableError, connect
from shimmy_meter.loads import SILENT_SECONDS, Loads
from shimmy_meter.server import Callers, MetricsServer
from shimmy_meter.tls import ServerTls

log = logging.getLogger(__name__)

_FILES_SECONDS: Final = 1.0
"""Between two looks at the certificate."""
_PROXY_SECONDS: Final = 30.0
"""Between two looks at who the front proxy is; an authority is there long before the certificates that it signs."""
_RETRY_SECONDS: Final = 1.0
_GARBAGE: Final = (50_000, 20, 100)
"""Thresholds of Python's collector. A report is ten thousands of objects that live for a second, without cycles: at its
defaults (700, 10, 10) it takes more time than all other work."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the process."""

    host: str
    port: int
    metrics_port: int
    """0 for none."""
    tls_folder: Path
    kubeconfig: str | None
    leave_seconds: float
    """To go on after the signal to end: the API server may not have heard of it yet."""


class Keeper:
    """Keeps whom to believe, and the certificate, as they are."""

    def __init__(self, settings: Settings, api: ApiServer) -> None:
        self._api = api
        self._started = time.monotonic()
        self.callers = Callers(Authorizer(api.review), Bearers(api.identify, api.review))
        self.tls = ServerTls(settings.tls_folder)

    def ready(self) -> bool:
        """Whether the front proxy is known, and every router has had the time to report to a server that is new."""
        return self.callers.front_proxy is not None and time.monotonic() - self._started >= SILENT_SECONDS

    async def watch_certificate(self) -> None:
        """Take a changed certificate, for ever."""
        while True:
            await asyncio.sleep(_FILES_SECONDS)
            try:
                if self.tls.refresh():
                    log.info("took a new certificate")
            except OSError as error:
                log.warning("the certificate that was read before stays in use: %s", error)

    async def watch_front_proxy(self) -> None:
        """Take what the API server says of its front proxy, for ever."""
        while True:
            pause = _PROXY_SECONDS
            try:
                found = await self._api.front_proxy()
                self.tls.refresh(found.authority)
                self.callers.front_proxy = found
            except (UnavailableError, ValueError, OSError) as error:
                log.warning("who the front proxy is cannot be read: %s", error)
                pause = _RETRY_SECONDS
            await asyncio.sleep(pause)


async def run(settings: Settings, stopped: asyncio.Event) -> None:
    """Serve until `stopped`."""
    gc.set_threshold(*_GARBAGE)
    async with await connect(settings.kubeconfig) as api:
        keeper = Keeper(settings, ApiServer(api))
        metrics = MetricsServer(Loads(), keeper.callers, keeper.ready)
        async with (
            _listening(metrics.application(), settings.host, settings.port, keeper.tls.context),
            _listening(metrics.metrics(), settings.host, settings.metrics_port),
        ):
            log.info("listening on port %d", settings.port)
            stop = asyncio.create_task(_stop(stopped, settings.leave_seconds))
            work = [asyncio.create_task(task) for task in (keeper.watch_certificate(), keeper.watch_front_proxy())]
            done, pending = await asyncio.wait((stop, *work), return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for task in done:
                task.result()


async def _stop(stopped: asyncio.Event, leave_seconds: float) -> None:
    await stopped.wait()
    await asyncio.sleep(leave_seconds)


@asynccontextmanager
async def _listening(
    application: web.Application, host: str, port: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Answer while the block runs; at no port if that is 0."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        if port:
            await web.TCPSite(runner, host, port, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()
