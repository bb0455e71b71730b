"""One request's way through the runner, from its parsed body to the last byte of its answer."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from shimmy_api import headers
from shimmy_engine.answer import Answer
from shimmy_engine.answers import AnswerShape
from shimmy_engine.failures import EngineFailedError
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.responses import ClientWatch, Headers, StreamedAnswer, usage_headers
from shimmy_engine.service import Caller, Service
from shimmy_engine.sse import encode_event


class ClientLeftError(Exception):
    """The client closed its connection before its turn came."""


class Exchange:
    """A generation, the client that waits for it, and the answer between them."""

    def __init__(self, service: Service, request: Request, generation: Generation, common: Headers) -> None:
        """`common` are the headers of every answer of this pod."""
        self._service = service
        self._generation = generation
        self._headers = common
        self._watch = ClientWatch(request.receive)
        self._caller = Caller(
            request_id=request.headers.get(headers.REQUEST_ID) or str(uuid.uuid4()),
            tenant=request.headers.get(headers.TENANT, ""),
            key_id=request.headers.get(headers.KEY_ID, ""),
            model=request.headers.get(headers.MODEL) or generation.model or "",
            seconds=_seconds(request.headers.get(headers.EXPECTED_TIMEOUT_MS, "")),
        )
        self._shape = AnswerShape(
            id=uuid.uuid4().hex,
            created=int(time.time()),
            model=self._caller.model,
            chat=generation.chat,
            include_usage=generation.include_usage,
        )

    async def respond(self) -> Response:
        """Get the generation done and answer.

        Raises:
            RefusedError: refused, or the engine failed before there was anything to send.
            ClientLeftError: nobody waits for an answer.
        """
        self._headers[headers.REQUEST_ID] = self._caller.request_id
        try:
            answer = await self._open()
        except BaseException:
            self._watch.end()
            raise
        self._headers[headers.QUEUE_SECONDS] = f"{answer.queue_seconds:.3f}"
        try:
            return await (self._stream(answer) if self._generation.stream else self._whole(answer))
        except BaseException as error:
            self._end(answer)
            if isinstance(error, EngineFailedError):
                raise RefusedError(error.told) from error
            raise

    def _end(self, answer: Answer) -> None:
        """The exchange is over; an answer that is not finished is abandoned."""
        self._watch.end()
        answer.abandon()

    async def _open(self) -> Answer:
        """Start the generation; give it up before it starts where the client leaves first."""
        opening = asyncio.create_task(self._service.open(self._generation, self._caller))
        self._watch.on_leave(opening.cancel)
        try:
            answer = await opening
        except asyncio.CancelledError:
            if self._watch.left:
                raise ClientLeftError from None
            raise
        self._watch.on_leave(answer.abandon)
        return answer

    async def _whole(self, answer: Answer) -> Response:
        text = "".join([piece async for piece in answer.texts()])
        self._end(answer)
        body = self._shape.whole(text, answer.reason, answer.usage)
        return Response(body, 200, self._headers | usage_headers(answer.usage), "application/json")

    async def _stream(self, answer: Answer) -> Response:
        """Start the stream with the first text: until then a failure can still be a status."""
        texts = answer.texts()
        first = await anext(texts, None)
        return StreamedAnswer(
            self._events(answer, first, texts),
            headers=self._headers,
            trailers=lambda: usage_headers(answer.usage),
            end=lambda: self._end(answer),
        )

    async def _events(self, answer: Answer, first: str | None, rest: AsyncIterator[str]) -> AsyncIterator[bytes]:
        """The answer's events; a failure after the first text is the stream's last event."""
        yield self._shape.first()
        if first is not None:
            yield self._shape.piece(first)
        try:
            async for text in rest:
                yield self._shape.piece(text)
        except EngineFailedError as error:
            yield encode_event(error.told.body().decode())
            return
        yield self._shape.last(answer.reason, answer.usage)


def _seconds(milliseconds: str) -> float | None:
    return int(milliseconds) / 1000 if milliseconds.isdecimal() and len(milliseconds) < 12 else None
