"""A client on one connection that says when the other end closes it."""

import asyncio
import json
from typing import Final

from devkit.bench.fleet.objects import HOST

_PATH: Final = "/v1/chat/completions"


class Client:
    """Sends chat requests one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.closed = 0
        """How often the other end has closed the connection, or asked for that."""

    async def chat(self, key: str, model: str) -> int:
        """The answer's status; 0 where there was none."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello"}]})
        head = f"POST {_PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
        try:
            reader, writer = self._streams or await asyncio.open_connection(HOST, self._port)
            self._streams = reader, writer
            writer.write(f"{head}\r\n\r\n{body}".encode())
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            values = dict(line.split(": ", 1) for line in lines[1:] if line)
            await reader.readexactly(int(values.get("content-length", 0)))
        except (OSError, asyncio.IncompleteReadError):
            self._lost()
            return 0
        if values.get("connection") == "close":
            self._lost()
        return int(lines[0].split()[1])

    def _lost(self) -> None:
        self.closed += self._streams is not None
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams:
            self._streams[1].close()
        self._streams = None
