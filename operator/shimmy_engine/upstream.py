"""The HTTP conversation with the Shimmy process on loopback, one generation at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx

from shimmy_engine import wording
from shimmy_engine.escapes import ByteUnescaper
from shimmy_engine.failures import EngineFailedError, EngineRefusedError
from shimmy_engine.plan import Plan
from shimmy_engine.requests import Generation
from shimmy_engine.sse import DONE, SseDecoder


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one token (or of a whole answer, where the line cannot stream it); it may be empty."""

    text: str
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a generation, with what the engine says of it."""

    reason: str | None = None
    """"stop" or "length", None where the line does not tell the truth."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Upstream:
    """Client of one Shimmy process."""

    def __init__(self, base_url: str, plan: Plan, *, stall: float) -> None:
        """`stall` is the process's longest silence in seconds."""
        timeout = httpx.Timeout(5.0, read=stall)
        self._client = httpx.AsyncClient(base_url=base_url, timeout=timeout, trust_env=False)
        self._quirks = plan.release.quirks
        self._model = plan.name

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def listening(self) -> bool:
        """Whether the process answers at all; this says nothing about the model."""
        try:
            return (await self._client.get("/health", timeout=1.0)).is_success
        except httpx.HTTPError:
            return False

    async def count_prompt(self, generation: Generation) -> int:
        """Prompt tokens by the engine's own count.

        Raises:
            EngineFailedError: it gave none.
        """
        answer = await self._json("/api/generate", wording.probe(self._quirks, generation, model=self._model))
        return _integer(answer.get("usage"), "prompt_tokens")

    async def generate(self, generation: Generation, max_tokens: int) -> AsyncIterator[Piece | Ending]:
        """Pieces of the answer as they come, then one Ending.

        Raises:
            EngineFailedError: before or after any number of pieces.
        """
        path, body = wording.request(self._quirks, generation, model=self._model, max_tokens=max_tokens)
        if not body["stream"]:
            events = _whole(await self._json(path, body))
        else:
            events = self._chat_events(path, body) if generation.chat else self._raw_events(path, body)
        characters = ByteUnescaper()
        async for event in events:
            if isinstance(event, Piece):
                yield Piece(characters.feed(event.text), event.tokens)
            else:
                yield Piece(characters.flush(), tokens=0)
                yield event

    async def cancel(self) -> None:
        """Ask the process to end what it generates, where it can; the stream then comes to its regular end.

        Raises:
            EngineFailedError: it does not answer.
        """
        try:
            response = await _finish(self._client.post("/cancel", timeout=5.0))
            _check(response.status_code, httpx.codes.NO_CONTENT)
        except httpx.HTTPError as error:
            raise EngineFailedError(f"no answer from the engine: {type(error).__name__}") from error

    async def _json(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await _finish(self._client.post(path, json=body))
        except httpx.HTTPError as error:
            raise EngineFailedError(f"no answer from the engine: {type(error).__name__}") from error
        _check(response.status_code)
        answer = _object(response.text)
        if "error" in answer:
            raise EngineFailedError("the engine answered with an error")
        return answer

    async def _data(self, path: str, body: dict[str, Any]) -> AsyncIterator[str]:
        """Data of each event up to [DONE]; without a [DONE] the stream was cut."""
        decoder = SseDecoder()
        try:
            async with self._client.stream("POST", path, json=body) as response:
                _check(response.status_code)
                async for chunk in response.aiter_raw():
                    for data in decoder.feed(chunk):
                        if data == DONE:
                            return
                        yield data
        except httpx.HTTPError as error:
            raise EngineFailedError(f"the engine's stream broke off: {type(error).__name__}") from error
        raise EngineFailedError("the engine's stream ended without its last event")

    async def _chat_events(self, path: str, body: dict[str, Any]) -> AsyncIterator[Piece | Ending]:
        ending: Ending | None = None
        async for data in self._data(path, body):
            event = _object(data)
            if "error" in event:
                raise EngineFailedError("the engine reported an error in its stream")
            for choice in event.get("choices", ()):
                if choice.get("finish_reason"):
                    ending = Ending(choice["finish_reason"] if self._quirks.reports_usage else None)
                elif (text := choice.get("delta", {}).get("content")) is not None:
                    yield Piece(text)
            if ending and event.get("usage"):
                usage = event["usage"]
                prompt, completion = _integer(usage, "prompt_tokens"), _integer(usage, "completion_tokens")
                ending = Ending(ending.reason, prompt, completion)
        if ending is None:
            raise EngineFailedError("the engine's stream ended without a finish reason")
        yield ending

    async def _raw_events(self, path: str, body: dict[str, Any]) -> AsyncIterator[Piece | Ending]:
        async for data in self._data(path, body):
            yield Piece(data)
        yield Ending()


async def _finish(request: Coroutine[None, None, httpx.Response]) -> httpx.Response:
    """Await a request that goes on where its caller is cancelled.

    httpcore 1.0 does not give back the connection of a cancelled request (encode/httpcore#1093), and has a hundred.
    """
    (outcome,) = await asyncio.shield(asyncio.gather(request, return_exceptions=True))
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def _whole(answer: dict[str, Any]) -> AsyncIterator[Piece | Ending]:
    usage = answer.get("usage")
    prompt, completion = _integer(usage, "prompt_tokens"), _integer(usage, "completion_tokens")
    text = answer.get("response")
    if not isinstance(text, str):
        raise EngineFailedError("the engine's answer has no text")
    yield Piece(text, completion)
    yield Ending(answer.get("finish_reason"), prompt, completion)


def _check(status: int, wanted: int = httpx.codes.OK) -> None:
    if status >= 500:
        raise EngineFailedError(f"the engine answered with status {status}")
    if status != wanted:
        raise EngineRefusedError(f"the engine refused with status {status}")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise EngineFailedError("the engine's answer is not JSON") from error
    if not isinstance(value, dict):
        raise EngineFailedError("the engine's answer is not a JSON object")
    return value


def _integer(values: Any, key: str) -> int:
    value = values.get(key) if isinstance(values, dict) else None
    if not isinstance(value, int):
        raise EngineFailedError(f"the engine's answer has no {key}")
    return value


async def wait_listening(upstream: Upstream, exited: "asyncio.Future[Any]", patience: float) -> None:
    """Return when the process answers.

    Raises:
        EngineFailedError: it ended before, or did not answer within `patience` seconds.
    """
    deadline = asyncio.get_running_loop().time() + patience
    while not await upstream.listening():
        if exited.done():
            raise EngineFailedError("the engine's process ended while it started")
        if asyncio.get_running_loop().time() > deadline:
            raise EngineFailedError(f"the engine did not listen within {patience:.0f} s")
        await asyncio.sleep(0.02)
