"""An upstream that answers in every way an engine does, as long as a test wants."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from tests.dataplane.plane import HOST

from devkit.ports import free

CHUNKS: Final = 50
TOKENS: Final = [(b"x-shimmy-completion-tokens", b"5")]


class Upstream:
    """Begins each answer at once and ends it when `go_on` is set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests = 0
        self.go_on = threading.Event()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            while (await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "bytes": None, "text": "echo"})
        elif scope["type"] == "http":
            self.requests += 1
            # Hypercorn 0.18 breaks the connection where more of a body comes after its answer.
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
            await self._answer(scope, send)

    async def _answer(self, scope: HTTPScope, send: ASGISendCallable) -> None:
        asked = dict(scope["headers"])
        kind = asked.get(b"x-kind", b"json").decode()
        stream = kind != "json"
        content = b"text/event-stream" if stream else b"application/json"
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", content), (b"x-shimmy-prompt-tokens", asked.get(b"x-tokens", b"0"))],
                "trailers": kind == "trailers",
            }
        )
        if stream:
            for _ in range(CHUNKS):
                await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await asyncio.to_thread(self.go_on.wait, 10)
        if kind == "dies":
            raise ConnectionAbortedError
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})
        if kind == "trailers":
            await send({"type": "http.response.trailers", "headers": TOKENS, "more_trailers": False})


@contextmanager
def upstream() -> Iterator[Upstream]:
    """One that listens while the context lasts."""
    (port,) = free(1)
    found = Upstream(port)
    stopped = threading.Event()
    thread = threading.Thread(target=_serve, args=(found, stopped), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.go_on.set()
        stopped.set()
        thread.join(20)


def _serve(app: Upstream, stopped: threading.Event) -> None:
    config = Config()
    config.bind = [f"{HOST}:{app.port}"]
    config.graceful_timeout = 1.0
    config.errorlog = None

    async def until_stopped() -> None:
        await asyncio.to_thread(stopped.wait)

    asyncio.run(serve(app, config, shutdown_trigger=until_stopped))
