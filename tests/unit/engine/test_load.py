import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.types import Message

from shimmy_engine.gate import Gate
from shimmy_engine.load import LoadStreams


class Reader:
    """The client's end of one stream."""

    def __init__(self, loads: LoadStreams) -> None:
        self.left = asyncio.Event()
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        request = Request({"type": "http", "headers": []}, self._receive)
        self.task = asyncio.create_task(loads.answer(request)({"type": "http"}, self._receive, self._sent.put))

    async def line(self) -> object:
        while (message := await self._sent.get())["type"] != "http.response.body" or not message["body"]:
            pass
        assert message["body"].endswith(b"\n")
        return json.loads(message["body"])

    @property
    def told(self) -> bool:
        return not self._sent.empty()

    async def _receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}


@asynccontextmanager
async def reader(loads: LoadStreams) -> AsyncIterator[Reader]:
    found = Reader(loads)
    yield found
    found.left.set()
    async with asyncio.timeout(5):
        await found.task


async def test_the_load_is_told_at_once_and_at_each_change() -> None:
    gate = Gate(queue=4)
    async with reader(LoadStreams(gate)) as stream:
        assert await stream.line() == {"inFlight": 0, "queued": 0}
        await gate.enter()
        assert await stream.line() == {"inFlight": 1, "queued": 0}
        waiting = asyncio.create_task(gate.enter())
        assert await stream.line() == {"inFlight": 1, "queued": 1}
        gate.leave()
        assert await stream.line() == {"inFlight": 1, "queued": 0}
        await waiting


async def test_changes_that_come_together_are_one_line() -> None:
    gate = Gate(queue=4)
    async with reader(LoadStreams(gate)) as stream:
        await stream.line()
        await gate.enter()
        tasks = [asyncio.create_task(gate.enter()) for _ in range(4)]
        assert await stream.line() == {"inFlight": 1, "queued": 4}
        assert not stream.told
        for task in tasks:
            task.cancel()


async def test_an_idle_runner_shows_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shimmy_engine.load._SILENCE", 0.01)
    async with reader(LoadStreams(Gate(queue=4))) as stream:
        for _ in range(3):
            assert await stream.line() == {"inFlight": 0, "queued": 0}


async def test_all_streams_end_when_the_runner_drains() -> None:
    loads = LoadStreams(Gate(queue=4))
    streams = [Reader(loads), Reader(loads)]
    for stream in streams:
        await stream.line()
    loads.end()
    async with asyncio.timeout(5):
        await asyncio.gather(*(stream.task for stream in streams))
        await Reader(loads).task  # one that comes later is told once
