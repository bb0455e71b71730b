"""A Service as kube-proxy makes it: each new connection goes to one of its endpoints, and stays there."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.dataplane.plane import HOST

from devkit.ports import free


class Balancer:
    """Forwards connections to the ports in `endpoints`, in turns."""

    def __init__(self, port: int, endpoints: Sequence[int]) -> None:
        self.url = f"http://{HOST}:{port}"
        self.port = port
        self.endpoints = tuple(endpoints)
        """Replace it as a whole; connections that are open stay where they are."""
        self.chosen: dict[int, int] = {}
        """Where each connection went, by the port that its client has."""
        self._turn = 0
        self._open: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Close all connections."""
        for writer in self._open:
            writer.close()

    async def serve(self, stopped: asyncio.Event) -> None:
        """Forward until `stopped` is set."""
        async with await asyncio.start_server(self._forward, HOST, self.port):
            await stopped.wait()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        endpoints = self.endpoints
        chosen = endpoints[self._turn % len(endpoints)]
        self.chosen[writer.get_extra_info("peername")[1]] = chosen
        try:
            there, back = await asyncio.open_connection(HOST, chosen)
        except ConnectionError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._open |= ends
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._open -= ends


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def balancer(endpoints: Sequence[int]) -> Iterator[Balancer]:
    """A balancer in a thread of its own."""
    found = Balancer(free(1)[0], endpoints)
    loop, stopped, listening = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def run() -> None:
        listening.set()
        await found.serve(stopped)
        found.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    listening.wait(10)
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(20)
        loop.close()
