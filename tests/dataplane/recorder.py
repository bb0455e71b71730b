"""An upstream that shows what Envoy sends to a pod, and lets a test decide when its answer goes on."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from tests.dataplane.plane import HOST

from devkit.ports import free

FIRST, LAST = b"data: first\n\n", b"data: last\n\n"


class Recorder:
    """Answers every request with two chunks, the second when `go_on` is set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers: list[dict[str, str]] = []
        """Of each request, in the order of their arrival."""
        self.go_on = threading.Event()

    async def __call__(self, scope: Scope, _: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        kind = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": FIRST, "more_body": True})
        await asyncio.to_thread(self.go_on.wait, 10)
        await send({"type": "http.response.body", "body": LAST, "more_body": False})


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A recorder that listens while the context lasts."""
    (port,) = free(1)
    found = Recorder(port)
    stopped = threading.Event()
    thread = threading.Thread(target=_serve, args=(found, stopped), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.go_on.set()
        stopped.set()
        thread.join(20)


def _serve(app: Recorder, stopped: threading.Event) -> None:
    config = Config()
    config.bind = [f"{HOST}:{app.port}"]
    config.graceful_timeout = 1.0

    async def until_stopped() -> None:
        await asyncio.to_thread(stopped.wait)

    asyncio.run(serve(app, config, shutdown_trigger=until_stopped))
