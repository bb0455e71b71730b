"""A request over HTTP/2 without TLS, as Envoy sends it, with the trailers of its answer, which httpx drops."""

import json
import socket
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, TrailersReceived
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage


@dataclass
class Answer:
    """Everything that came back on the stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False


def post(url: str, body: Any, headers: dict[str, str]) -> Answer:
    """Send one request on a connection of its own."""
    split, content, answer = urlsplit(url), json.dumps(body).encode(), Answer()
    pseudo = {":method": "POST", ":scheme": "http", ":path": split.path, ":authority": split.netloc}
    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    with socket.create_connection((split.hostname, split.port), timeout=30) as wire:
        connection.initiate_connection()
        connection.send_headers(1, [*pseudo.items(), *headers.items()])
        connection.send_data(1, content, end_stream=True)
        while not answer.ended:
            wire.sendall(connection.data_to_send())
            received = wire.recv(65536)
            assert received, "the connection was closed"
            for event in connection.receive_data(received):
                _take(connection, answer, event)
    return answer


def lines(url: str, headers: dict[str, str]) -> Generator[bytes, None, None]:
    """Lines of the answer to a GET as they come, until it ends or the generator is closed, which closes the connection.

    What answers with another status than 200 has no lines.
    """
    split, answer = urlsplit(url), Answer()
    pseudo = {":method": "GET", ":scheme": "http", ":path": split.path, ":authority": split.netloc}
    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    with socket.create_connection((split.hostname, split.port), timeout=30) as wire:
        connection.initiate_connection()
        connection.send_headers(1, [*pseudo.items(), *headers.items()], end_stream=True)
        while not answer.ended:
            wire.sendall(connection.data_to_send())
            received = wire.recv(65536)
            assert received, "the connection was closed"
            for event in connection.receive_data(received):
                _take(connection, answer, event)
            while answer.headers.get(":status") == "200" and b"\n" in answer.body:
                line, _, answer.body = answer.body.partition(b"\n")
                yield line


def websocket(url: str, request: Any, headers: dict[str, str]) -> tuple[dict[str, str], list[str], int]:
    """Send one frame over a WebSocket on HTTP/2 (RFC 8441); returns the response's headers, all frames, the close code.

    The frame may be sent once the server has accepted the connection.
    """
    split, frames, answer = urlsplit(url), Connection(ConnectionType.CLIENT), Answer()
    pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": split.path}
    pseudo |= {":authority": split.netloc, "sec-websocket-version": "13"}
    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    texts: list[str] = []
    with socket.create_connection((split.hostname, split.port), timeout=30) as wire:
        connection.initiate_connection()
        connection.send_headers(1, [*pseudo.items(), *headers.items()])
        while True:
            wire.sendall(connection.data_to_send())
            received = wire.recv(65536)
            assert received, "the connection was closed"
            for event in connection.receive_data(received):
                _take(connection, answer, event)
                if isinstance(event, ResponseReceived):
                    connection.send_data(1, frames.send(TextMessage(json.dumps(request))))
            frames.receive_data(answer.body)
            answer.body = b""
            for message in frames.events():
                if isinstance(message, CloseConnection):
                    return answer.headers, texts, message.code
                if isinstance(message, TextMessage):
                    texts.append(message.data)


def _take(connection: H2Connection, answer: Answer, event: Event) -> None:
    if isinstance(event, ResponseReceived):
        answer.headers = {str(name): str(value) for name, value in event.headers}
    elif isinstance(event, TrailersReceived):
        answer.trailers = {str(name): str(value) for name, value in event.headers}
    elif isinstance(event, DataReceived):
        answer.body += event.data
        connection.acknowledge_received_data(event.flow_controlled_length, 1)
    elif isinstance(event, StreamEnded):
        answer.ended = True
