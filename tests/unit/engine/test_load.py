import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.types import Message

from shimmy_engine.gate import Gate, MovedError
from shimmy_engine.load import LoadStreams, Release

SENT, NONE, TAKEN = Release.SENT, Release.NONE, Release.TAKEN


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

    def messages(self) -> list[Message]:
        return [self._sent.get_nowait() for _ in range(self._sent.qsize())]

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
        assert await stream.line() == {"inFlight": 1, "queued": 0}
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
        later = Reader(loads)
        await later.task
    assert not any(message.get("body") for message in later.messages())


async def waiting(gate: Gate, count: int) -> list[asyncio.Task[None]]:
    await gate.enter("m")
    tasks = [asyncio.create_task(gate.enter("m", movable=True)) for _ in range(count)]
    await asyncio.sleep(0)
    assert gate.queued == count
    return tasks


async def test_an_idle_pod_gets_one_request_however_many_routers_name_it() -> None:
    gate = Gate(queue=4)
    loads = LoadStreams(gate)
    first, second, third = await waiting(gate, 3)
    assert [loads.release("m", "192.0.2.1:8080") for _ in range(3)] == [SENT, TAKEN, TAKEN]
    with pytest.raises(MovedError):
        await first
    assert loads.release("m", "192.0.2.2:8080") is SENT
    with pytest.raises(MovedError):
        await second
    third.cancel()


async def test_a_pod_that_was_named_may_be_named_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shimmy_engine.load._MOMENT", 0.0)
    gate = Gate(queue=4)
    loads = LoadStreams(gate)
    tasks = await waiting(gate, 2)
    assert [loads.release("m", "192.0.2.1:8080") for _ in range(3)] == [SENT, SENT, NONE]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [MovedError] * 2
