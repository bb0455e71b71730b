"""A pod whose engine cannot answer, in a way that the test chooses."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from tests.dataplane.stub_pod import stub_pod

from shimmy_router.occupancy_streams import PATH

HANG = 0
"""A status that never comes."""


class FailingPod:
    """Answers every request with one status, and tells no load."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 500
        self.asked = 0
        """Requests so far, those for its load not counted."""

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        status = 404 if scope["path"] == PATH else self.status
        self.asked += scope["path"] != PATH
        # Hypercorn 0.18 breaks the connection where a body comes after its answer.
        while (await receive()).get("more_body"):
            pass
        if status == HANG:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def failing_pod() -> Iterator[FailingPod]:
    """A pod that listens while the context lasts."""
    found = FailingPod()
    with stub_pod(found) as found.port:
        yield found
