"""A WebSocket client of a few lines, which shows every frame and how the connection was closed."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)


@dataclass
class WebSocket:
    """One connection."""

    wire: socket.socket
    connection: WSConnection
    frames: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0
    """Of the refusal, 101 where the connection was accepted."""
    body: bytes = b""
    close_code: int = 0
    _parts: list[str] = field(default_factory=list)

    def send(self, value: Any) -> None:
        """Send bytes or text as they are, anything else as JSON."""
        message = BytesMessage(value) if isinstance(value, bytes) else TextMessage(_text(value))
        self.wire.sendall(self.connection.send(message))

    def next(self) -> str:
        """The next frame of text."""
        count = len(self.frames)
        while len(self.frames) == count:
            assert not self.close_code, "the connection was closed"
            self._receive()
        return self.frames[count]

    def rest(self) -> list[str]:
        """All frames, up to the close."""
        while not self.close_code:
            self._receive()
        return self.frames

    def close(self) -> None:
        """Leave without a word."""
        self.wire.close()

    def __enter__(self) -> "WebSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> None:
        received = self.wire.recv(65536)
        assert received, "the connection was cut"
        self.connection.receive_data(received)
        for event in self.connection.events():
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, AcceptConnection):
            self.status = 101
            self.headers = {name.decode(): value.decode() for name, value in event.extra_headers}
        elif isinstance(event, RejectConnection):
            self.status = event.status_code
        elif isinstance(event, RejectData):
            self.body += event.data
            self.close_code = 1006 if event.body_finished else 0
        elif isinstance(event, TextMessage):
            self._parts.append(event.data)
            if event.message_finished:
                self.frames.append("".join(self._parts))
                self._parts.clear()
        elif isinstance(event, CloseConnection):
            self.close_code = event.code


def connect(url: str, headers: dict[str, str]) -> WebSocket:
    """Open a connection and wait for the server's answer to that."""
    split = urlsplit(url)
    wire = socket.create_connection((split.hostname, split.port), timeout=30)
    connection = WSConnection(ConnectionType.CLIENT)
    opened = WebSocket(wire, connection)
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    target = f"{split.path}?{split.query}" if split.query else split.path
    wire.sendall(connection.send(Request(host=split.netloc, target=target, extra_headers=extra)))
    while not opened.status:
        opened._receive()
    return opened


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
