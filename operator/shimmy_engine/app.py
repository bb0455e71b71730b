"""The runner's HTTP interface."""

import hmac
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shimmy_api import headers
from shimmy_api.errors import DRAINING, NOT_FOUND, UNTRUSTED_CALLER, ApiError
from shimmy_engine.exchange import ClientLeftError, Exchange
from shimmy_engine.gate import Occupancy
from shimmy_engine.requests import MAX_BODY, Generation, RefusedError, parse_chat, parse_completion
from shimmy_engine.responses import refusal
from shimmy_engine.scrape import scrape
from shimmy_engine.service import Service

Endpoint = Callable[[Request], Awaitable[Response]]

BODY_TOO_LARGE: Final = ApiError(413, "request_too_large", f"The request body is longer than {MAX_BODY} bytes.")
WRONG_METHOD: Final = ApiError(405, "method_not_allowed", "This path does not take this method.")
CLIENT_CLOSED_REQUEST: Final = 499
"""Nobody reads this answer; nginx logs such requests with this status."""
_LARGEST_PAGE: Final = 1000


class Runner:
    """The routes, and whether generations are still accepted."""

    def __init__(self, service: Service, token_file: Path) -> None:
        """`token_file` holds what a trusted caller shows; it is read at each request, so that it can be rotated."""
        self.service = service
        self.draining = False
        """SIGTERM has come: not ready any more, but what arrives is still served."""
        self.refusing = False
        """Nothing new is accepted."""
        self._token_file = token_file
        self._started = int(time.time())
        guarded: list[tuple[str, str, Endpoint]] = [
            ("POST", "/v1/chat/completions", self._chat),
            ("POST", "/v1/completions", self._completions),
            ("GET", "/v1/models", self._models),
            ("GET", "/internal/journal", self._journal),
        ]
        probes: list[tuple[str, Endpoint]] = [
            ("/healthz", self._healthz),
            ("/readyz", self._readyz),
            ("/metrics", self._metrics),
        ]
        routes = [Route(path, self._guard(do), methods=[verb]) for verb, path, do in guarded]
        routes += [Route(path, do, methods=["GET"]) for path, do in probes]
        self.requests = Occupancy()
        """Requests from their first byte to the last one of their answers."""
        self._app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _wrong_method})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self.requests:
            await self._app(scope, receive, send)

    def distrust(self, request: Request) -> ApiError | None:
        """The refusal for a caller who does not know the engine token; None for one who does."""
        shown = request.headers.get(headers.ENGINE_TOKEN, "").encode()
        token = self._token_file.read_bytes().strip()
        return None if token and hmac.compare_digest(shown, token) else UNTRUSTED_CALLER

    def _guard(self, endpoint: Endpoint) -> Endpoint:
        """Let callers pass who know the engine token, and turn refusals into responses."""

        async def guarded(request: Request) -> Response:
            if distrust := self.distrust(request):
                return self._refuse(request, distrust)
            try:
                return await endpoint(request)
            except RefusedError as error:
                return self._refuse(request, error.error)

        return guarded

    def _refuse(self, request: Request, error: ApiError) -> Response:
        self.service.parts.metrics.refused.labels(error.code).inc()
        response = refusal(error)
        response.headers.update(self._common())
        if request_id := request.headers.get(headers.REQUEST_ID):
            response.headers[headers.REQUEST_ID] = request_id
        return response

    def _common(self) -> dict[str, str]:
        """Headers of every answer: the pod, and the model that it serves now."""
        return {headers.POD: self.service.parts.identity.pod, headers.MODEL: self.service.parts.slot.model}

    async def _chat(self, request: Request) -> Response:
        return await self._generate(request, parse_chat)

    async def _completions(self, request: Request) -> Response:
        return await self._generate(request, parse_completion)

    async def _generate(self, request: Request, parse: Callable[[bytes], Generation]) -> Response:
        if self.refusing:
            raise RefusedError(DRAINING)
        generation = parse(await _body(request))
        try:
            return await Exchange(self.service, request, generation, self._common()).respond()
        except ClientLeftError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def _models(self, _request: Request) -> Response:
        model = {
            "id": self.service.parts.slot.model,
            "object": "model",
            "created": self._started,
            "owned_by": "shimmy",
        }
        return _json({"object": "list", "data": [model]})

    async def _journal(self, request: Request) -> Response:
        """Acknowledge records and return the next ones, as shimmy_api.usage describes."""
        query = request.query_params
        ack, limit = _natural(query, "ack", 0), _natural(query, "limit", _LARGEST_PAGE)
        page = self.service.parts.journal.page(ack=ack, limit=min(limit, _LARGEST_PAGE))
        return Response(page.model_dump_json(by_alias=True), media_type="application/json")

    async def _healthz(self, _request: Request) -> Response:
        supervisor = self.service.parts.slot.served.supervisor
        return _probe(not supervisor.gave_up, supervisor.problem)

    async def _readyz(self, _request: Request) -> Response:
        problem = "draining" if self.draining else self.service.problem
        return _probe(not problem, problem)

    async def _metrics(self, _request: Request) -> Response:
        return Response(scrape(self.service), media_type="text/plain; version=0.0.4")


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise RefusedError(BODY_TOO_LARGE)
    return body


def _natural(query: QueryParams, key: str, default: int) -> int:
    text = query.get(key, str(default))
    if not text.isdecimal() or len(text) > 18:
        raise RefusedError(ApiError(400, "invalid_value", f"{key} must be a natural number.", param=key))
    return int(text)


def _probe(good: bool, problem: str) -> Response:
    return Response("ok\n" if good else f"{problem}\n", 200 if good else 503, media_type="text/plain")


def _json(value: object) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json")


async def _not_found(_request: Request, _error: Exception) -> Response:
    return refusal(NOT_FOUND)


async def _wrong_method(_request: Request, _error: Exception) -> Response:
    return refusal(WRONG_METHOD)
