"""In how many writes an answer leaves, and what is in each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import ConnectionState
from hyperframe.frame import DataFrame, Frame, HeadersFrame

from shimmy_engine.connections import WholeAnswers

Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = Callable[[Send], Awaitable[None]]


async def whole(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def empty(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def streamed(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"data: 2\n\n"})


async def large(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"40000")]})
    await send({"type": "http.response.body", "body": bytes(40_000)})


async def writes_of(answer: Answer) -> list[str]:
    """The frames of each write that has to do with the answer: H for a head, D for data, . for the stream's end."""
    writes: list[bytes] = []
    done = asyncio.Event()

    async def send(event: Event) -> None:
        if isinstance(event, RawData):
            writes.append(event.data)
        if described(writes).endswith("."):
            done.set()

    async def app(_scope: Any, _receive: Any, send_answer: Any) -> None:
        await answer(send_answer)

    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(
        1, [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")], end_stream=True
    )
    async with asyncio.timeout(10), TaskGroup(asyncio.get_running_loop()) as tasks:
        state, context = ConnectionState({}), WorkerContext(None)
        wrapped = ASGIWrapper(app)
        served = WholeAnswers(wrapped, Config(), context, tasks, state, False, None, None, send)
        await served.initiate()
        await served.handle(RawData(client.data_to_send()))
        await done.wait()
        await served.handle(Closed())
    return [found for found in map(frames_of, writes) if found]


def described(writes: list[bytes]) -> str:
    return "".join(map(frames_of, writes))


def frames_of(written: bytes) -> str:
    found = ""
    while written:
        frame, length = Frame.parse_frame_header(memoryview(written[:9]))
        if isinstance(frame, (HeadersFrame, DataFrame)):
            found += "H" if isinstance(frame, HeadersFrame) else "D"
            found += "." if "END_STREAM" in frame.flags else ""
        written = written[9 + length :]
    return found


@pytest.mark.parametrize(
    ("answer", "writes"),
    [
        pytest.param(whole, ["HDD."], id="an answer of known length leaves at once"),
        pytest.param(empty, ["H", "D."], id="an empty one waits for nothing"),
        pytest.param(streamed, ["H", "D", "DD."], id="a stream's head and pieces leave as they come"),
        pytest.param(large, ["HD", "D", "D", "D."], id="a large one leaves by frames, its head with the first"),
    ],
)
async def test_an_answer_leaves_in_few_writes(answer: Answer, writes: list[str]) -> None:
    assert await writes_of(answer) == writes
