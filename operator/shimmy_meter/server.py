"""What the metrics server answers by HTTPS, and by plain HTTP on a port of its own for Prometheus.

| path | who may |
|---|---|
| /apis, /openapi | the API server's front proxy, for users whom RBAC allows (front_proxy.py, authorization.py) |
| POST, GET /loads/1 | ServiceAccounts that RBAC allows it, by a token for this server (bearers.py) |
| /metrics, on the other port | everybody who reaches it: a NetworkPolicy lets Prometheus in; it names tenants' models |
| /healthz, /readyz | everybody who reaches the port: the kubelet |
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from shimmy_api.load import LOADS_PATH
from shimmy_meter import external_metrics, wire
from shimmy_meter.authorization import Attempt, Authorizer
from shimmy_meter.bearers import Bearer, Bearers
from shimmy_meter.external_metrics import GROUP, GROUP_VERSION, Document, RefusedError
from shimmy_meter.front_proxy import FrontProxy
from shimmy_meter.kube import UnavailableError
from shimmy_meter.loads import Loads
from shimmy_meter.metrics import exposition

_LARGEST_REPORT: Final = 16 * 1024 * 1024
_LARGEST_OF_A_NAMESPACE: Final = 512 * 1024
_VALUES: Final = f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}"
_OPEN: Final = frozenset({"/healthz", "/readyz", LOADS_PATH})
"""Everything else is for the front proxy alone, also what is not there."""
_AGGREGATED: Final = "as=APIGroupDiscoveryList"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Callers:
    """Whom to believe."""

    authorizer: Authorizer
    bearers: Bearers
    front_proxy: FrontProxy | None = None
    """Who may say who calls; nobody where it is None. It changes while the server runs."""


class MetricsServer:
    """Answers requests."""

    def __init__(self, loads: Loads, callers: Callers, ready: Callable[[], bool]) -> None:
        self._callers = callers
        self._loads = loads
        self._ready = ready

    def application(self) -> web.Application:
        """All paths but one."""
        made = web.Application(client_max_size=_LARGEST_REPORT, middlewares=[self._api])
        made.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.post(LOADS_PATH, self._take),
                web.get(LOADS_PATH, self._tell, allow_head=False),
                web.get("/apis", self._groups),
                web.get(f"/apis/{GROUP}", _fixed(external_metrics.group())),
                web.get(f"/apis/{GROUP_VERSION}", _fixed(external_metrics.resources())),
                web.get("/openapi/v2", _fixed(external_metrics.openapi_v2())),
                web.get("/openapi/v3", _fixed(external_metrics.openapi_v3())),
                web.get(_VALUES, self._values),
            ]
        )
        return made

    def metrics(self) -> web.Application:
        """The one for Prometheus."""
        made = web.Application()
        made.add_routes([web.get("/metrics", self._metrics)])
        return made

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ok")
        return web.Response(text="the API server or the routers are not known yet", status=503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=await exposition(self._loads), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _take(self, request: web.Request) -> web.Response:
        bearer = await self._bearer(request, "post")
        try:
            report = wire.read(await self._body(request, bearer))
        except wire.ReportError as error:
            raise web.HTTPBadRequest(text=f"no report: {error}") from error
        if objection := bearer.objection(report):
            raise web.HTTPForbidden(text=objection)
        self._loads.take(f"{bearer.namespace}/{report.router}", report)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _body(self, request: web.Request, bearer: Bearer) -> bytes:
        if bearer.everywhere:
            return await request.read()
        # Of many tenants each has its own router: one of them must not keep this server from all others.
        return await request.clone(client_max_size=_LARGEST_OF_A_NAMESPACE).read()

    async def _tell(self, request: web.Request) -> web.Response:
        await self._bearer(request, "get")
        return web.Response(body=wire.write(self._loads.totals()), content_type="application/json")

    async def _bearer(self, request: web.Request, verb: str) -> Bearer:
        try:
            bearer = await self._callers.bearers.find(request.headers.get("authorization", ""), verb)
        except UnavailableError as error:
            raise web.HTTPServiceUnavailable(text=f"the API server does not say who may do this: {error}") from error
        if bearer is None:
            raise web.HTTPUnauthorized(text="a token of a ServiceAccount for this server is needed")
        if not bearer.may:
            raise web.HTTPForbidden(text=f'User "{bearer.user.name}" cannot {verb} path "{LOADS_PATH}"')
        return bearer

    async def _groups(self, request: web.Request) -> web.Response:
        """The API server asks for all groups and resources in one document first, and else for each by its path."""
        if _AGGREGATED in request.headers.get("accept", ""):
            raise RefusedError(HTTPStatus.NOT_ACCEPTABLE, "NotAcceptable", "only APIGroupList is served here")
        return web.json_response(external_metrics.groups())

    async def _values(self, request: web.Request) -> web.Response:
        loads = self._loads.of(request.match_info["namespace"])
        selector = request.query.get("labelSelector", "")
        return web.json_response(
            external_metrics.values(request.match_info["metric"], selector, loads, datetime.now(UTC))
        )

    @web.middleware
    async def _api(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)
        try:
            await self._check(request)
            return await handler(request)
        except RefusedError as error:
            return _status(error)
        except UnavailableError as error:
            message = f"the API server does not say who may do this: {error}"
            return _status(RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message))
        except web.HTTPException as error:
            reason = "MethodNotAllowed" if error.status == HTTPStatus.METHOD_NOT_ALLOWED else "NotFound"
            return _status(RefusedError(HTTPStatus(error.status), reason, error.reason))

    async def _check(self, request: web.Request) -> None:
        certificate = request.get_extra_info("peercert")
        proxy = self._callers.front_proxy
        user = proxy.user(certificate, request.headers) if proxy else None
        if user is None:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")
        found = request.match_info
        attempt = Attempt(request.path, found.get("namespace", ""), found.get("metric", ""))
        if not await self._callers.authorizer.allows(user, attempt):
            raise RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", f'User "{user.name}" cannot {attempt}')


def _fixed(document: Document) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(document)

    return answer


def _status(error: RefusedError) -> web.Response:
    document: dict[str, Any] = external_metrics.status(error)
    return web.json_response(document, status=error.code)
