"""An upstream that shows what Envoy sends to a pod, and lets a test decide when its answer goes on."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from tests.dataplane.stub_pod import stub_pod

FIRST, LAST = b"data: first\n\n", b"data: last\n\n"


class Recorder:
    """Answers every request with two chunks, the second when `go_on` is set."""

    def __init__(self) -> None:
        self.port = 0
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
    found = Recorder()
    with stub_pod(found) as found.port:
        try:
            yield found
        finally:
            found.go_on.set()
