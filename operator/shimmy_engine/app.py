"""The runner's ASGI application: who may ask, what is accepted, and the routes that are no API of models."""

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from shimmy_api import headers
from shimmy_api.errors import METHOD_NOT_ALLOWED, NOT_FOUND, UNTRUSTED_CALLER, ApiError
from shimmy_engine.api import Api, Call, Endpoint
from shimmy_engine.callers import request_id_of, standing_in
from shimmy_engine.exchange import ClientLeftError
from shimmy_engine.gate import Occupancy
from shimmy_engine.load import LoadStreams
from shimmy_engine.requests import RefusedError
from shimmy_engine.responses import Headers, refusal
from shimmy_engine.scrape import scrape
from shimmy_engine.service import Service
from shimmy_engine.surfaces.choice import surface_of
from shimmy_engine.websocket import converse

CLIENT_CLOSED_REQUEST: Final = 499
"""Nobody reads this answer; nginx logs such requests with this status."""
_LARGEST_PAGE: Final = 1000

_HttpEndpoint = Callable[[Request], Awaitable[Response]]


class Runner:
    """The routes, and whether generations are still accepted."""

    def __init__(self, service: Service, token_file: Path) -> None:
        """`token_file` holds what a trusted caller shows; it is read at each request, so that it can be rotated."""
        self.service = service
        self.draining = False
        self.loads = LoadStreams(service.parts.gate, service.parts.slot)
        self.refusing = False
        """Nothing new is accepted."""
        self._token_file = token_file
        internal: list[tuple[str, str, Endpoint]] = [
            ("GET", "/internal/journal", self._journal),
            ("GET", "/internal/load", self._load),
            ("POST", "/internal/release", self._release),
            ("GET", "/metrics", self._metrics),
        ]
        guarded = [*Api(service, lambda: self.refusing).routes, *internal]
        routes = [Route(path, self._guard(do), methods=[method]) for method, path, do in guarded]
        # The kubelet has no token.
        probes = {"/healthz": self._healthz, "/readyz": self._readyz}
        routes += [Route(path, do, methods=["GET"]) for path, do in probes.items()]
        self.requests = Occupancy()
        """Requests from their first byte to the last one of their answers."""
        self._app = Starlette(
            routes=[*routes, WebSocketRoute("/ws/generate", self._generate)],
            exception_handlers={404: self._not_found, 405: self._wrong_method},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with self.requests:
            await self._app(scope, receive, send)

    def drain(self) -> None:
        """SIGTERM has come: not ready any more, but what arrives is still served."""
        self.draining = True
        self.loads.end()

    def distrust(self, connection: HTTPConnection) -> ApiError | None:
        """The refusal for a caller who does not know the engine token; None for one who does."""
        shown = connection.headers.get(headers.ENGINE_TOKEN, "").encode()
        token = self._token_file.read_bytes().strip()
        return None if token and hmac.compare_digest(shown, token) else UNTRUSTED_CALLER

    def _guard(self, endpoint: Endpoint) -> _HttpEndpoint:
        """Let callers pass who know the engine token, and turn refusals into responses."""

        async def guarded(request: Request) -> Response:
            request_id = request_id_of(request.headers)
            if distrust := self.distrust(request):
                return self._refuse(request, distrust, request_id)
            try:
                response = await endpoint(Call(request, request_id, self.service.card))
            except RefusedError as error:
                return self._refuse(request, error.error, request_id)
            except ClientLeftError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            return self._named(request, response, request_id)

        return guarded

    def _refuse(self, request: HTTPConnection, error: ApiError, request_id: str) -> Response:
        self.service.parts.metrics.refused.labels(error.code).inc()
        response = refusal(error, surface_of(request.url.path, request.headers), request_id)
        return self._named(request, response, request_id)

    def _named(self, request: HTTPConnection, response: Response, request_id: str) -> Response:
        """The response with the headers that every answer has."""
        response.headers.update(self._common(request_id) | dict(response.headers))
        response.headers.update(standing_in(request.headers, response.headers[headers.MODEL]))
        if name := surface_of(request.url.path, request.headers).request_id_header:
            response.headers[name] = request_id
        return response

    def _common(self, request_id: str) -> Headers:
        return {
            headers.POD: self.service.parts.identity.pod,
            headers.MODEL: self.service.card.name,
            headers.REQUEST_ID: request_id,
        }

    async def _generate(self, websocket: WebSocket) -> None:
        request_id = request_id_of(websocket.headers)
        if distrust := self.distrust(websocket):
            await websocket.send_denial_response(self._refuse(websocket, distrust, request_id))
            return
        own = self._common(request_id) | standing_in(websocket.headers, self.service.card.name)
        await converse(websocket, self.service, request_id, own, lambda: self.refusing)

    async def _journal(self, call: Call) -> Response:
        """Acknowledge records and return the next ones, as shimmy_api.usage describes."""
        query = call.request.query_params
        ack, limit = _natural(query, "ack", 0), _natural(query, "limit", _LARGEST_PAGE)
        page = self.service.parts.journal.page(ack=ack, limit=min(limit, _LARGEST_PAGE))
        return Response(page.model_dump_json(by_alias=True), media_type="application/json")

    async def _load(self, call: Call) -> Response:
        return self.loads.answer(call.request)

    async def _release(self, call: Call) -> Response:
        query = call.request.query_params
        return Response(status_code=self.loads.release(query.get("model", ""), query.get("to", "")).value)

    async def _healthz(self, _request: Request) -> Response:
        supervisor = self.service.parts.slot.served.supervisor
        return _probe(not supervisor.gave_up, supervisor.problem)

    async def _readyz(self, _request: Request) -> Response:
        problem = "draining" if self.draining else self.service.problem
        return _probe(not problem, problem)

    async def _metrics(self, _call: Call) -> Response:
        return Response(scrape(self.service), media_type="text/plain; version=0.0.4")

    async def _not_found(self, request: Request, _error: Exception) -> Response:
        return self._refuse(request, NOT_FOUND, request_id_of(request.headers))

    async def _wrong_method(self, request: Request, _error: Exception) -> Response:
        return self._refuse(request, METHOD_NOT_ALLOWED, request_id_of(request.headers))


def _natural(query: QueryParams, key: str, default: int) -> int:
    text = query.get(key, str(default))
    if not text.isdecimal() or len(text) > 18:
        raise RefusedError(ApiError(400, "invalid_value", f"{key} must be a natural number.", param=key))
    return int(text)


def _probe(good: bool, problem: str) -> Response:
    return Response("ok\n" if good else f"{problem}\n", 200 if good else 503, media_type="text/plain")
