"""HTTP/1.1 as little as the fake needs: one request at a time per connection, chunked streams, no TLS."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MAX_BODY = 2 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """A parsed request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A whole response."""

    status: int
    body: bytes = b""
    content_type: str = ""

    @classmethod
    def json(cls, value: Any, status: int = 200) -> "Reply":
        return cls(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), "application/json")

    @classmethod
    def text(cls, status: int, text: str) -> "Reply":
        return cls(status, text.encode(), "text/plain; charset=utf-8")


class Stream:
    """A server-sent event stream that outlives its client: sending to one that left is silent, as in Shimmy."""

    def __init__(self, writer: asyncio.StreamWriter, common: dict[str, str]) -> None:
        self._writer = writer
        head = {"content-type": "text/event-stream", "cache-control": "no-cache", "transfer-encoding": "chunked"}
        writer.write(_head(200, head | common))

    async def send(self, data: str) -> None:
        event = "".join(f"data: {line}\n" for line in data.split("\n")).encode() + b"\n"
        await self._write(b"%x\r\n%s\r\n" % (len(event), event))

    async def end(self) -> None:
        await self._write(b"0\r\n\r\n")

    async def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            return
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self._writer.close()


class Connection:
    """Writes the response to one request."""

    def __init__(self, writer: asyncio.StreamWriter, common: dict[str, str]) -> None:
        self._writer = writer
        self._common = common

    def reply(self, reply: Reply) -> None:
        head = {"content-length": str(len(reply.body))}
        if reply.content_type:
            head["content-type"] = reply.content_type
        self._writer.write(_head(reply.status, head | self._common) + reply.body)

    def stream(self) -> Stream:
        return Stream(self._writer, self._common)

    def cut(self) -> None:
        self._writer.transport.abort()


Handler = Callable[[Request, Connection], Awaitable[None]]


async def handle(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, common: dict[str, str]
) -> None:
    """Serve one connection until the client closes it."""
    try:
        while request := await _read(reader):
            connection = Connection(writer, common)
            if len(request.body) > MAX_BODY:
                connection.reply(Reply.text(413, "Failed to buffer the request body: length limit exceeded"))
            else:
                await handler(request, connection)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target.partition("?")[0], headers, body)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()
