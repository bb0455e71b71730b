"""The agent's own HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    registry: CollectorRegistry,
    ready: Callable[[], bool],
    others: Iterable[web.RouteDef] = (),
    *,
    statistics: Callable[[], Awaitable[bytes]],
) -> AsyncIterator[None]:
    """Listen while the context lasts. /healthz answers as long as the event loop turns.

    What `statistics` gives follows the registry's metrics.
    """

    async def metrics(_: web.Request) -> web.Response:
        text = generate_latest(registry) + await statistics()
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready() else web.Response(text="Envoy has no snapshot yet", status=503)

    application = web.Application()
    application.add_routes(
        [web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz), *others]
    )
    async with listening(application, host, port):
        yield


@asynccontextmanager
async def listening(application: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve an application while the context lasts."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
