"""Serves a test's own ASGI application as a pod: HTTP/1.1 and h2c on a port of this host."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from tests.dataplane.plane import HOST

from devkit.ports import free


@contextmanager
def stub_pod(app: ASGIFramework) -> Iterator[int]:
    """The port on which the application answers while the context lasts."""
    (port,) = free(1)
    stopped = threading.Event()
    thread = threading.Thread(target=_serve, args=(app, port, stopped), daemon=True)
    thread.start()
    try:
        yield port
    finally:
        stopped.set()
        thread.join(20)


def _serve(app: ASGIFramework, port: int, stopped: threading.Event) -> None:
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.graceful_timeout = 1.0

    async def until_stopped() -> None:
        await asyncio.to_thread(stopped.wait)

    asyncio.run(serve(app, config, shutdown_trigger=until_stopped))
