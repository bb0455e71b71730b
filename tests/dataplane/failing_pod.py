"""A pod whose engine cannot answer, in a way that the test chooses."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from tests.dataplane.plane import HOST

from devkit.ports import free

HANG = 0
"""A status that never comes."""


class FailingPod:
    """Answers every request with one status."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 500
        self.asked = 0
        """Requests so far."""

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        self.asked += 1
        if self.status == HANG:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def failing_pod() -> Iterator[FailingPod]:
    """A pod that listens while the context lasts."""
    (port,) = free(1)
    found, stopped = FailingPod(port), threading.Event()
    thread = threading.Thread(target=_serve, args=(found, stopped), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stopped.set()
        thread.join(20)


def _serve(app: FailingPod, stopped: threading.Event) -> None:
    config = Config()
    config.bind = [f"{HOST}:{app.port}"]
    config.graceful_timeout = 1.0

    async def until_stopped() -> None:
        await asyncio.to_thread(stopped.wait)

    asyncio.run(serve(app, config, shutdown_trigger=until_stopped))
