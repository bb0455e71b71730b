"""What the metrics server asks an API server, over HTTP: every token is a router's, and everybody may do everything."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from devkit.pki import Authority
from shimmy_api.load import METER_AUDIENCE

HOST: Final = "127.0.0.1"
_CONFIG_MAP: Final = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
_TOKENS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_TOKEN_STATUS: Final = {"authenticated": True, "audiences": [METER_AUDIENCE], "user": {"username": "bench"}}
_CONFIG: Final = {
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
}

Answer = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[Path]:
    """Listens while the context lasts; a kubeconfig that leads there."""
    authority = Authority(folder, "front-proxy-ca").files.certificate.read_text(encoding="utf-8")
    application = web.Application()
    application.add_routes(
        [
            web.get(_CONFIG_MAP, _found({"data": {**_CONFIG, "requestheader-client-ca-file": authority}})),
            web.post(_TOKENS, _reviewed(_TOKEN_STATUS)),
            web.post(_ACCESS, _reviewed({"allowed": True})),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield _kubeconfig(folder, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _found(document: dict[str, Any]) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(document)

    return answer


def _reviewed(status: dict[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({**await request.json(), "status": status})

    return answer


def _kubeconfig(folder: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": f"http://{HOST}:{port}"}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "users": [{"name": "bench", "user": {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path
