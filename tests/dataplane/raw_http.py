"""HTTP/1.1 byte by byte: requests that no client library would send."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse

from tests.dataplane.plane import HOST

Headers = Iterable[tuple[str, str]]
SECONDS = 10.0
SILENCE = 3.0


@dataclass(frozen=True)
class Answer:
    """One answer; status 0 where the connection was closed without one."""

    status: int
    text: str = ""
    """Headers, an empty line and the body."""


def request(method: str, target: str, headers: Headers = (), body: bytes = b"") -> bytes:
    """A request after which the connection is closed. A body gets its length, if the headers give it none."""
    lines = [f"{method} {target} HTTP/1.1", "host: router", *(f"{name}: {value}" for name, value in headers)]
    given = {name.lower().strip() for name, _ in headers}
    if body and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(body)}")
    if "connection" not in given:
        lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(port: int, data: bytes) -> Answer:
    """The first answer. Nobody waits for the connection's end, for which Envoy takes its time."""
    with socket.create_connection((HOST, port), timeout=SECONDS) as connection:
        connection.sendall(data)
        response = HTTPResponse(connection, method=data.partition(b" ")[0].decode("latin-1"))
        try:
            response.begin()
            body = b"" if response.status == HTTPStatus.SWITCHING_PROTOCOLS else response.read()
        except (HTTPException, ConnectionResetError):
            return Answer(0)
        return Answer(response.status, f"{response.headers}{body.decode('latin-1')}")


def answers(port: int, data: bytes) -> list[Answer]:
    """All answers until the server closes the connection, or says no more."""
    with socket.create_connection((HOST, port), timeout=SILENCE) as connection:
        connection.sendall(data)
        received = b""
        with suppress(ConnectionResetError, TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
    pieces = received.decode("latin-1").split("HTTP/1.1 ")[1:]
    return [Answer(int(piece[:3]), piece) for piece in pieces]
