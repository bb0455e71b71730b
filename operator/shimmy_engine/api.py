"""The APIs over HTTP: which path is read and answered by which module of `surfaces`."""

import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from shimmy_api.errors import DRAINING, MODEL_NOT_FOUND, ApiError
from shimmy_api.release import release
from shimmy_api.unsupported import UNSUPPORTED, unsupported
from shimmy_engine.callers import caller_of
from shimmy_engine.exchange import Exchange, unless_left
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import MAX_BODY, Generation, RefusedError
from shimmy_engine.responses import ClientWatch
from shimmy_engine.service import Caller, Service
from shimmy_engine.surfaces import anthropic, ollama, openai, openai_responses, shimmy
from shimmy_engine.surfaces.bodies import dump
from shimmy_engine.surfaces.choice import GENERATE, surface_of
from shimmy_engine.surfaces.shape import Head, Immediate, Parse

BODY_TOO_LARGE: Final = ApiError(413, "request_too_large", f"The request body is longer than {MAX_BODY} bytes.")
_NOTHING: Final = Generation(messages=(("user", "."),))


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a trusted caller."""

    request: Request
    id: str
    card: ModelCard
    """The model at the time of the request."""

    def caller(self, named: str | None) -> Caller:
        """Who asks for the model that the body names so."""
        return caller_of(self.request.headers, self.id, named)


Endpoint = Callable[[Call], Awaitable[Response]]
"""Answers a call.

Raises:
    RefusedError: with the error for the caller.
    ClientLeftError: nobody waits for an answer.
"""
Route = tuple[str, str, Endpoint]
"""Method, path, what to do."""


class Api:
    """All APIs of one service."""

    def __init__(self, service: Service, refusing: Callable[[], bool]) -> None:
        """`refusing` tells whether nothing new is accepted any more."""
        self._service = service
        self._refusing = refusing
        generating: dict[str, Parse] = {
            "/v1/chat/completions": openai.parse_chat,
            "/v1/completions": openai.parse_completion,
            "/v1/responses": openai_responses.parse,
            "/v1/messages": anthropic.parse,
            "/api/chat": ollama.parse_chat,
        }
        describing: dict[str, Callable[[ModelCard], object]] = {
            "/v1/models": openai.models,
            "/api/tags": ollama.tags,
            "/api/ps": lambda card: ollama.running(card, ready=service.parts.slot.served.supervisor.ready),
            "/api/version": lambda _card: {"version": release()},
            "/api/models": shimmy.models,
        }
        self.routes: list[Route] = [("POST", path, self._generating(parse)) for path, parse in generating.items()]
        self.routes += [("GET", path, _describing(describe)) for path, describe in describing.items()]
        self.routes += [(method, path, _unsupported(what)) for method, path, what in UNSUPPORTED]
        self.routes += [
            ("POST", GENERATE, self._generate),
            ("POST", "/v1/messages/count_tokens", self._count),
            ("GET", "/v1/models/{name:path}", _model),
            ("POST", "/api/show", _show),
            ("GET", "/", _running),
        ]

    def _generating(self, parse: Parse) -> Endpoint:
        async def generate(call: Call) -> Response:
            return await self._answer(call, parse)

        return generate

    async def _generate(self, call: Call) -> Response:
        """Two APIs have this path; what the client wants to read tells which one it means."""
        native = surface_of(GENERATE, call.request.headers) is shimmy.SHIMMY
        return await self._answer(call, shimmy.parse_generate if native else ollama.parse_generate)

    async def _answer(self, call: Call, parse: Parse) -> Response:
        asked = parse(await self._body(call))
        caller = call.caller(asked.model if isinstance(asked, Immediate) else asked.generation.model)
        head = Head(id=uuid.uuid4().hex, created=int(time.time()), model=caller.model)
        if isinstance(asked, Immediate):
            await self._load(call, caller)
            return Response(asked.body(head), media_type="application/json")
        exchange = Exchange(self._service, asked.generation, caller, ClientWatch(call.request.receive))
        return await exchange.respond(asked.shape(head))

    async def _load(self, call: Call, caller: Caller) -> None:
        """Have the model loaded, where another one is and this one may be: counting needs it."""
        self._service.check_model(caller.model)
        if caller.model != call.card.name:
            await self._tokens(call, _NOTHING, caller)

    async def _count(self, call: Call) -> Response:
        generation = anthropic.parse_count(await self._body(call))
        tokens = await self._tokens(call, generation, call.caller(generation.model))
        return Response(anthropic.count_body(tokens), media_type="application/json")

    async def _tokens(self, call: Call, generation: Generation, caller: Caller) -> int:
        watch = ClientWatch(call.request.receive)
        try:
            return await unless_left(watch, self._service.count(generation, caller))
        finally:
            watch.end()

    async def _body(self, call: Call) -> bytes:
        body = await read_body(call.request)
        if self._refusing():
            raise RefusedError(DRAINING)
        return body


def _describing(describe: Callable[[ModelCard], object]) -> Endpoint:
    async def answer(call: Call) -> Response:
        return _json(describe(call.card))

    return answer


def _unsupported(what: str) -> Endpoint:
    error = unsupported(what)

    async def refuse(call: Call) -> Response:
        with suppress(RefusedError):
            await read_body(call.request)  # else Hypercorn closes a connection that the client goes on using
        raise RefusedError(error)

    return refuse


async def _model(call: Call) -> Response:
    if call.request.path_params["name"] != call.card.name:
        raise RefusedError(MODEL_NOT_FOUND)
    return _json(openai.model_object(call.card))


async def _show(call: Call) -> Response:
    if call.caller(ollama.parse_show(await read_body(call.request))).model != call.card.name:
        raise RefusedError(MODEL_NOT_FOUND)
    return _json(ollama.show(call.card))


async def _running(_call: Call) -> Response:
    return Response(ollama.RUNNING, media_type="text/plain")


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        RefusedError: it is too long.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise RefusedError(BODY_TOO_LARGE)
    return bytes(body)


def _json(value: object) -> Response:
    return Response(dump(value), media_type="application/json")
