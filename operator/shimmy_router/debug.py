"""What the agent tells those who look after the fleet: /debug/tenants, /debug/route and /debug/refused, on loopback.

Whoever reaches it may forward a pod's ports, and so could also reach Envoy's own admin interface or read the keys;
nobody else sees how other tenants' models are served. It shows no secret all the same.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from shimmy_router import explain
from shimmy_router.fleet import Fleet
from shimmy_router.server import listening

LOOPBACK: Final = "127.0.0.1"

Known = Callable[[], Awaitable[Fleet | None]]
"""The fleet, or None before everything was listed once."""
Refused = Callable[[], Iterable[tuple[str, str]]]
"""What Envoy does not take: kind and name of each resource."""


@asynccontextmanager
async def serve_debug(port: int, known: Known, refused: Refused) -> AsyncIterator[None]:
    """Listen on this port while the context lasts, if it is one."""
    if not port:
        yield
        return
    application = web.Application()
    debug = _Debug(known, refused)
    application.add_routes(
        [
            web.get("/debug/tenants", debug.tenants),
            web.get("/debug/route", debug.route),
            web.get("/debug/refused", debug.refused),
        ]
    )
    async with listening(application, LOOPBACK, port):
        yield


class _Debug:
    def __init__(self, known: Known, refused: Refused) -> None:
        self._known = known
        self._refused = refused

    async def tenants(self, _: web.Request) -> web.Response:
        return web.json_response(explain.tenants(await self._fleet(), time.time()))

    async def route(self, request: web.Request) -> web.Response:
        query = request.query
        if not query.get("tenant") or "model" not in query:
            raise web.HTTPBadRequest(text="ask with ?tenant=NAME&model=NAME, and &path=PATH or &key=NAME if you like\n")
        path, credential = query.get("path", explain.DEFAULT_PATH), query.get("key", "")
        question = explain.Question(query["tenant"], query["model"], path, credential)
        found = explain.explain(await self._fleet(), question, time.time())
        if found is None:
            raise web.HTTPNotFound(text="the router knows no tenant of that name\n")
        return web.json_response(found)

    async def refused(self, _: web.Request) -> web.Response:
        return web.json_response({"refused": [{"kind": kind, "name": name} for kind, name in self._refused()]})

    async def _fleet(self) -> Fleet:
        found = await self._known()
        if found is None:
            raise web.HTTPServiceUnavailable(text="not all objects are listed yet\n")
        return found
