"""Connections that end when their client ends them.

Hypercorn 0.18 keeps a connection that its client has closed until `keep_alive_timeout` is over: `TCPServer.run`
(hypercorn/asyncio/tcp_server.py) waits for its idle timer even after it has read the end. With a client that opens a
connection for each request, the runner would hold 75 s worth of dead ones.
"""

from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, Updated


class PromptConnection(TCPServer):
    """A connection without an idle timer once its client has closed it."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        """Send; what runs to its end after the client's starts no new timer."""
        if not (isinstance(event, Updated) and self.reader.at_eof()):
            await super().protocol_send(event)


def close_promptly() -> None:
    """Have Hypercorn use it in this process."""
    hypercorn_run.TCPServer = PromptConnection  # type: ignore[attr-defined] # there is no setting for it
