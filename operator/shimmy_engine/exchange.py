"""One request's way through the runner, from its parsed body to the last byte of its answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response

from shimmy_api import headers
from shimmy_engine.answer import Answer
from shimmy_engine.failures import EngineFailedError
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.responses import ClientWatch, StreamedAnswer, usage_headers
from shimmy_engine.service import Caller, Service
from shimmy_engine.surfaces.shape import Shape

_T = TypeVar("_T")


class ClientLeftError(Exception):
    """The client closed its connection before its turn came."""


async def unless_left(watch: ClientWatch, work: Coroutine[Any, Any, _T]) -> _T:
    """Do `work`, and give it up when the client leaves.

    Raises:
        ClientLeftError: nobody waits for it any more.
    """
    task = asyncio.create_task(work)
    watch.on_leave(task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if watch.left:
            raise ClientLeftError from None
        raise


class Exchange:
    """A generation, the client that waits for it, and the answer between them."""

    def __init__(self, service: Service, generation: Generation, caller: Caller, watch: ClientWatch) -> None:
        self._service = service
        self._generation = generation
        self._caller = caller
        self._watch = watch

    async def open(self) -> Answer:
        """Start the generation; give it up before it starts where the client leaves first.

        Raises:
            RefusedError: it cannot be done.
            ClientLeftError: nobody waits for an answer.
        """
        try:
            answer = await unless_left(self._watch, self._service.open(self._generation, self._caller))
        except BaseException:
            self._watch.end()
            raise
        self._watch.on_leave(answer.abandon)
        return answer

    def end(self, answer: Answer) -> None:
        """The exchange is over; an answer that is not finished is abandoned."""
        self._watch.end()
        answer.abandon()

    async def respond(self, shape: Shape) -> Response:
        """Get the generation done and answer over HTTP.

        Raises:
            RefusedError: refused, or the engine failed before there was anything to send.
            ClientLeftError: nobody waits for an answer.
        """
        answer = await self.open()
        try:
            response = await (self._stream if self._generation.stream else self._whole)(answer, shape)
        except BaseException as error:
            self.end(answer)
            if isinstance(error, EngineFailedError):
                raise RefusedError(error.told) from error
            raise
        # Another model may be served by the time that this is sent.
        own = {headers.QUEUE_SECONDS: f"{answer.queue_seconds:.3f}", headers.MODEL: self._caller.model}
        response.headers.update(own)
        return response

    async def _whole(self, answer: Answer, shape: Shape) -> Response:
        text = "".join([piece async for piece in answer.texts()])
        self.end(answer)
        body = shape.whole(text, answer.result)
        return Response(body, 200, usage_headers(answer.usage), "application/json")

    async def _stream(self, answer: Answer, shape: Shape) -> Response:
        """Start the stream with the first text: until then a failure can still be a status."""
        usage, texts = answer.usage, answer.texts()
        start = shape.first(usage)
        first = await anext(texts, None)
        if first is not None:
            start += shape.piece(first)
        return StreamedAnswer(
            _body(start, texts, answer, shape),
            media_type=shape.media_type,
            headers={},
            trailers=lambda: usage_headers(answer.usage),
            end=lambda: self.end(answer),
        )


async def _body(start: bytes, rest: AsyncIterator[str], answer: Answer, shape: Shape) -> AsyncIterator[bytes]:
    """The stream's parts; a failure after the first text is the last one."""
    yield start
    try:
        async for text in rest:
            yield shape.piece(text)
    except EngineFailedError as error:
        yield shape.failure(error.told)
        return
    yield shape.last(answer.result)
