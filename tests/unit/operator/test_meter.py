"""The operator's questions to the metrics server, over TLS."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from devkit.pki import Authority
from shimmy_operator.cluster.meter import Meter, MeterError

NAME = "shimmy-meter.shimmy-system.svc"
ANSWER = '{"routers":["r1"],"totals":[{"namespace":"a","deployment":"b","peak":2,"unknown":1}]}'


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shimmy_operator.cluster.meter._SECONDS", 30.0)  # how busy a machine is says nothing here


class Server:
    """Answers whoever shows a token."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.status = 200
        self.body = ANSWER

    async def answer(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers["Authorization"])
        return web.Response(status=self.status, text=self.body)


@asynccontextmanager
async def serving(authority: Authority, host: str = NAME) -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    application = web.Application()
    application.router.add_get("/loads/1", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    pair = authority.server("meter", [host])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield server, f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(folder: Path, authority: Authority, url: str) -> AsyncIterator[Meter]:
    (folder / "ca.crt").write_bytes(authority.files.certificate.read_bytes())
    (folder / "token").write_text("first\n")
    async with ClientSession() as session:
        yield Meter(session, url, folder, NAME)


async def test_loads_are_read_with_the_token_that_is_there_now(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", "ca")
    async with serving(authority) as (server, url), asking(tmp_path, authority, url) as meter:
        found = await meter.loads()
        assert (found.routers, found.totals[0].peak) == (("r1",), 2)
        (tmp_path / "token").write_text("second\n")
        await meter.loads()
    assert server.tokens == ["Bearer first", "Bearer second"]


async def test_an_authority_that_is_exchanged_is_followed(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old", "ca"), Authority(tmp_path / "new", "ca")
    async with serving(new) as (_, url), asking(tmp_path, old, url) as meter:
        with pytest.raises(MeterError, match="CERTIFICATE_VERIFY_FAILED"):
            await meter.loads()
        (tmp_path / "ca.crt").write_bytes(new.files.certificate.read_bytes())
        assert (await meter.loads()).routers == ("r1",)


async def test_a_certificate_of_another_name_is_not_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", "ca")
    async with (
        serving(authority, "other.shimmy-system.svc") as (server, url),
        asking(tmp_path, authority, url) as meter,
    ):
        with pytest.raises(MeterError, match="CERTIFICATE_VERIFY_FAILED"):
            await meter.loads()
    assert server.tokens == []


@pytest.mark.parametrize(
    ("status", "body"), [(401, ""), (503, "not yet"), (302, ""), (200, "x"), (200, '{"routers":3}')]
)
async def test_anything_else_is_an_error_without_the_token(tmp_path: Path, status: int, body: str) -> None:
    authority = Authority(tmp_path / "pki", "ca")
    async with serving(authority) as (server, url), asking(tmp_path, authority, url) as meter:
        server.status, server.body = status, body
        with pytest.raises(MeterError) as error:
            await meter.loads()
    assert "first" not in str(error.value)


async def test_a_folder_without_files_is_an_error_like_a_server_that_is_away(tmp_path: Path) -> None:
    async with ClientSession() as session:
        with pytest.raises(MeterError, match="FileNotFoundError"):
            await Meter(session, "https://127.0.0.1:1", tmp_path, NAME).loads()
