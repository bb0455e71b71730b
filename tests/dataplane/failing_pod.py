"""A pod whose engine cannot answer, in a way that the test chooses."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from tests.dataplane.stub_pod import stub_pod

HANG = 0
"""A status that never comes."""


class FailingPod:
    """Answers every request with one status."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 500
        self.asked = 0
        """Requests so far."""

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        self.asked += 1
        # Hypercorn 0.18 breaks the connection where a body comes after its answer.
        while (await receive()).get("more_body"):
            pass
        if self.status == HANG:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def failing_pod() -> Iterator[FailingPod]:
    """A pod that listens while the context lasts."""
    found = FailingPod()
    with stub_pod(found) as found.port:
        yield found
