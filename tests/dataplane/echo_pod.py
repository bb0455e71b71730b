"""A pod that answers with what the router told it about the request, and notes every request."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from tests.dataplane.stub_pod import stub_pod


@dataclass(frozen=True)
class Told:
    """A request as it reached the pod."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def tenant(self) -> str:
        return self.headers.get("x-shimmy-tenant", "")

    @property
    def model(self) -> str:
        return self.headers.get("x-shimmy-model", "")


class EchoPod:
    """Answers every request with 200 and the headers that it had."""

    def __init__(self) -> None:
        self.port = 0
        self.told: list[Told] = []
        """Of each request, in the order of their arrival."""

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            self._note("GET", scope["path"], scope["headers"])
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] == "http":
            self._note(scope["method"], scope["path"], scope["headers"])
            while (await receive()).get("more_body"):
                pass
            body = json.dumps(self.told[-1].headers).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body, "more_body": False})

    def _note(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.told.append(Told(method, path, {name.decode(): value.decode() for name, value in headers}))


@contextmanager
def echo_pod() -> Iterator[EchoPod]:
    """A pod that listens while the context lasts."""
    found = EchoPod()
    with stub_pod(found) as found.port:
        yield found
