"""Connections that end when their client ends them, and answers that leave in as few writes as they can.

Hypercorn 0.18 keeps a connection that its client has closed until `keep_alive_timeout` is over: `TCPServer.run`
(hypercorn/asyncio/tcp_server.py) waits for its idle timer even after it has read the end. With a client that opens a
connection for each request, the runner would hold 75 s worth of dead ones.

It also writes an answer's head, its body and the end of its stream one by one (`H2Protocol`, hypercorn/protocol/h2.py).
A router cannot try a request again whose answer's head it has passed on: where a pod dies between two of these writes,
the request fails.
"""

from hypercorn import protocol
from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h2 import H2Protocol


class PromptConnection(TCPServer):
    """A connection without an idle timer once its client has closed it."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        """Send; what runs to its end after the client's starts no new timer."""
        if not (isinstance(event, Updated) and self.reader.at_eof()):
            await super().protocol_send(event)


class WholeAnswers(H2Protocol):
    """Writes a head of known length with the body that it announces, and a last piece with the stream's end.

    The head of a stream of events has no length, and leaves at once.
    """

    _held = False

    async def _flush(self) -> None:
        if not self._held:
            await super()._flush()

    async def _send_data(self, stream_id: int) -> None:
        self._held = True  # nothing else runs meanwhile: what this calls waits for writes only
        try:
            await super()._send_data(stream_id)
        finally:
            self._held = False
        await self._flush()

    async def stream_send(self, event: StreamEvent) -> None:
        """Send; a head whose body comes next stays in the connection's buffer until then."""
        self._held = isinstance(event, Response) and _announces_body(event)
        try:
            await super().stream_send(event)
        finally:
            self._held = False


def _announces_body(head: Response) -> bool:
    return any(name == b"content-length" and value != b"0" for name, value in head.headers)


def install() -> None:
    """Have Hypercorn use both in this process; it has no settings for them."""
    hypercorn_run.TCPServer = PromptConnection  # type: ignore[attr-defined]
    protocol.H2Protocol = WholeAnswers  # type: ignore[attr-defined]
