"""In the metrics server's place: takes reports, and counts the pods of the last one."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from devkit.bench.fleet.objects import HOST
from devkit.pki import Authority
from shimmy_api import names
from shimmy_api.load import LOADS_PATH, LoadReport

_LARGEST = 16 * 1024 * 1024


class Meter:
    """What was reported."""

    def __init__(self) -> None:
        self.url = ""
        self.reports = 0
        self._last = b""

    def pods(self) -> int:
        """How many pods the last report names."""
        return sum(len(load.pods) for load in LoadReport.model_validate_json(self._last).loads) if self._last else 0

    async def take(self, request: web.Request) -> web.Response:
        """A report."""
        self._last = await request.read()
        self.reports += 1
        return web.Response(status=HTTPStatus.NO_CONTENT)


@asynccontextmanager
async def meter(folder: Path) -> AsyncIterator[Meter]:
    """Listens while the context lasts; the folder is what the agent needs to come here."""
    authority = Authority(folder / "authority", "ca")
    pair = authority.server("server", [names.METER])
    (folder / "token").write_text("bench", encoding="ascii")
    (folder / "ca.crt").write_bytes(authority.files.certificate.read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    made = Meter()
    application = web.Application(client_max_size=_LARGEST)
    application.add_routes([web.post(LOADS_PATH, made.take)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0, ssl_context=context).start()
        made.url = f"https://{HOST}:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()
