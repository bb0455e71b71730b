"""The two ways in which clients reach a runner. Whoever stops reading an answer leaves, as a browser or Envoy does."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import StreamClosedError

_PATIENCE: Final = 600.0
"""Seconds; whoever asks sets a shorter bound of his own."""
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trailers:
    """What follows the body."""

    fields: Mapping[str, str]


Part = Head | bytes | Trailers


class Transport(Protocol):
    """Sends requests to one server."""

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[Part]:
        """The answer as it comes. Closing the iterator before its end is leaving.

        Raises:
            ConnectionError: the connection or the stream ended before the answer did.
        """

    async def aclose(self) -> None:
        """Close what is open."""


class Http1:
    """HTTP/1.1: one connection per client, which a client that leaves closes. Trailers are not read."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=_PATIENCE)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[Part]:
        """See Transport."""
        try:
            async with self._client.stream("POST", path, content=body, headers=dict(headers)) as response:
                yield Head(response.status_code, response.headers)
                async for chunk in response.aiter_raw():
                    yield chunk
        except httpx.TransportError as error:
            raise ConnectionError(type(error).__name__) from error

    async def aclose(self) -> None:
        """See Transport."""
        await self._client.aclose()


class Http2:
    """HTTP/2 without TLS as Envoy speaks it: streams of many clients share a connection; leaving resets one of them."""

    def __init__(self, url: str) -> None:
        self._authority = urlsplit(url).netloc
        self._connection = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._streams: dict[int, asyncio.Queue[Part | ConnectionError | None]] = {}
        self._opening = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[Part]:
        """See Transport."""
        await self._open()
        number = self._connection.get_next_available_stream_id()
        parts = self._streams[number] = asyncio.Queue()
        pseudo = {":method": "POST", ":scheme": "http", ":path": path, ":authority": self._authority}
        self._connection.send_headers(number, [*pseudo.items(), *headers.items(), ("te", "trailers")])
        self._connection.send_data(number, body, end_stream=True)
        self._flush()
        over = False
        try:
            while (part := await parts.get()) is not None:
                if isinstance(part, ConnectionError):
                    over = True
                    raise part
                yield part
            over = True
        finally:
            del self._streams[number]
            if not over:
                self._reset(number)

    async def aclose(self) -> None:
        """See Transport."""
        if self._reading and self._writer:
            self._reading.cancel()
            self._writer.close()
            with suppress(ConnectionError):
                await self._writer.wait_closed()

    async def _open(self) -> None:
        async with self._opening:
            if self._writer:
                return
            host, _, port = self._authority.rpartition(":")
            reader, self._writer = await asyncio.open_connection(host, int(port))
            self._connection.initiate_connection()
            self._flush()
            self._reading = asyncio.create_task(self._read(reader))

    def _reset(self, number: int) -> None:
        with suppress(StreamClosedError):  # its end came in the moment of leaving
            self._connection.reset_stream(number, ErrorCodes.CANCEL)
        self._flush()

    def _flush(self) -> None:
        if self._writer:
            self._writer.write(self._connection.data_to_send())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while received := await reader.read(_CHUNK):
                for event in self._connection.receive_data(received):
                    self._take(event)
                self._flush()
        finally:
            for parts in self._streams.values():
                parts.put_nowait(ConnectionError("the connection was closed"))

    def _take(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            for parts in self._streams.values():
                parts.put_nowait(ConnectionError("the server said goodbye"))
        parts_of = self._streams.get(getattr(event, "stream_id", None) or 0)
        if parts_of is None:
            return
        if isinstance(event, ResponseReceived):
            fields = {str(name): str(value) for name, value in event.headers}
            parts_of.put_nowait(Head(int(fields[":status"]), fields))
        elif isinstance(event, DataReceived):
            parts_of.put_nowait(event.data)
        elif isinstance(event, TrailersReceived):
            parts_of.put_nowait(Trailers({str(name): str(value) for name, value in event.headers}))
        elif isinstance(event, StreamReset):
            parts_of.put_nowait(ConnectionError("the stream was reset"))
        elif isinstance(event, StreamEnded):
            parts_of.put_nowait(None)
