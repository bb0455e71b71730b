"""Where the network lets everybody in: what an engine gives to who does not know its tenant's token. Nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from tests.contract.running import FAKE, TOKEN, Program, Runner, runner_of
from tests.contract.ws import connect

from devkit.waiting import until
from shimmy_engine.admin import admin_app
from shimmy_engine.app import Runner as Application

PROBES = {"/healthz", "/readyz"}
"""The kubelet asks them, and has no token. They say whether the engine is ready, and why not."""
HEADER = "x-shimmy-engine-token"
STRANGERS: dict[str, dict[str, str]] = {
    "nothing": {},
    "an empty token": {HEADER: ""},
    "another tenant's token": {HEADER: "engine-token-of-another"},
    "the beginning of the token": {HEADER: TOKEN[:-1]},
    "more than the token": {HEADER: f"{TOKEN}x"},
    "the token in another header": {"authorization": f"Bearer {TOKEN}", "x-api-key": TOKEN},
    "the router's other headers": {"x-shimmy-tenant": "a", "x-shimmy-model": "m", "x-shimmy-key-id": "sk-shimmy-a"},
}


def paths(application: Starlette) -> list[tuple[str, str]]:
    """Method and path of everything that an application answers."""
    routes = [route for route in application.routes if isinstance(route, Route)]
    return sorted((method, route.path) for route in routes for method in route.methods or ())


ENGINE = [entry for entry in paths(Application(Mock(), Path())._app) if entry[1] not in PROBES]
ADMIN = paths(admin_app(Mock(), Mock()))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, toy: Path) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("trust")
    catalogue = folder / "models.json"
    catalogue.write_text(json.dumps({"models": [{"name": "m", "file": str(toy)}]}))
    options = ["--models", str(catalogue), "--admin-port", "0"]
    with runner_of(Program("llama", FAKE, toy), folder / "run", *options) as started:
        yield started


@pytest.fixture(scope="module")
def admin(running: Runner) -> str:
    found = until(lambda: re.search(r"private interface on \S+:(\d+)", running.log), "its port", seconds=30)
    return f"http://127.0.0.1:{found[1]}"


def test_all_surfaces_are_among_what_is_tried() -> None:
    tried = {path for _, path in (*ENGINE, *ADMIN)}
    assert tried >= {"/v1/chat/completions", "/v1/messages", "/api/chat", "/api/generate", "/v1/models", "/metrics"}
    assert tried >= {"/internal/journal", "/internal/load", "/admin/models", "/admin/load"}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_gets_403_at_every_path_of_an_engine(running: Runner, stranger: dict[str, str]) -> None:
    before = running.usage()
    assert _answers(running.url, ENGINE, stranger) == dict.fromkeys(ENGINE, 403)
    assert running.usage() == before


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_gets_403_at_every_path_of_the_private_interface(admin: str, stranger: dict[str, str]) -> None:
    assert _answers(admin, ADMIN, stranger) == dict.fromkeys(ADMIN, 403)


def test_a_stranger_gets_no_websocket(running: Runner) -> None:
    sockets = {route.path for route in Application(Mock(), Path())._app.routes if isinstance(route, WebSocketRoute)}
    for path in sockets:
        for stranger in STRANGERS.values():
            with connect(f"{running.url}{path}", stranger) as socket:
                assert socket.status == 403


def test_whoever_knows_the_token_is_let_in(running: Runner, admin: str) -> None:
    known = {HEADER: TOKEN}
    assert 403 not in _answers(running.url, ENGINE, known).values()
    assert 403 not in _answers(admin, ADMIN, known).values()


def test_a_token_that_is_exchanged_is_what_counts_from_then_on(tmp_path: Path, toy: Path) -> None:
    with runner_of(Program("llama", FAKE, toy), tmp_path, "--model-name", "m", "--model-file", str(toy)) as running:
        try:
            (tmp_path / "token").write_text("another-engine-token-1")
            assert running.client.get("/v1/models").status_code == 403
            new = {HEADER: "another-engine-token-1"}
            assert httpx.get(f"{running.url}/v1/models", headers=new, trust_env=False).status_code == 200
            (tmp_path / "token").write_text("")
            assert _answers(running.url, ENGINE, {HEADER: ""}) == dict.fromkeys(ENGINE, 403)
        finally:
            (tmp_path / "token").write_text(TOKEN)


def _answers(url: str, entries: list[tuple[str, str]], headers: dict[str, str]) -> dict[tuple[str, str], int]:
    """The status of each, without what comes after it."""
    found = {}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        for method, path in entries:
            with client.stream(method, re.sub(r"\{.*?\}", "m", path), content=b"{}") as response:
                found[method, path] = response.status_code
    return found
