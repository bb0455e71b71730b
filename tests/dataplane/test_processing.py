import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest
from tests.dataplane.calls import MAX_CALLS, Record, Setup, setup
from tests.dataplane.plane import HOST, chat
from tests.dataplane.upstream import CHUNKS, Upstream, upstream

from devkit.waiting import until
from shimmy_api import errors, headers
from shimmy_router.processing import Admitted, Call, Decide, Refused
from shimmy_router.xds import ext_proc, filters
from shimmy_router.xds.ext_proc import Need

WEBSOCKET = "/ws"


def _initial(path: str, **config: Any) -> dict[str, Any]:
    """A route that is chosen before the model is known."""
    return _route({"path": path}, **filters.reads_body(), **config)


def _of_model(model: str, **config: Any) -> dict[str, Any]:
    header = {"name": filters.ROUTE, "string_match": {"exact": model}}
    return _route({"prefix": "/", "headers": [header]}, **config)


def _route(match: dict[str, Any], cluster: str = "up", **config: Any) -> dict[str, Any]:
    return {
        "match": match,
        "route": {"cluster": cluster, "timeout": "0s"},
        "typed_per_filter_config": config,
        "request_headers_to_add": [filters.overwrite("te", "trailers")],
        "response_headers_to_add": ext_proc.limit_headers(),
    }


def _asking(need: Need) -> dict[str, Any]:
    return ext_proc.enabled("t", need)


def _holding() -> dict[str, Any]:
    return ext_proc.holding("t", "up", stands_in=False)


ROUTES = [
    _of_model("plain", **ext_proc.disabled()),
    _of_model("asleep", **_holding()),
    _initial("/v1/plain"),
    _initial("/v1/tracked", **_asking(Need.TRACK)),
    _initial("/v1/needed", **_holding()),
    _initial("/v1/counted", **_asking(Need.COUNT)),
    _initial("/v1/armed", **ext_proc.may_hold()),
    _route({"path": WEBSOCKET}, "up-http1", **_asking(Need.TRACK)),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, engine: Upstream) -> Iterator[Setup]:
    with setup(tmp_path_factory.mktemp("envoy"), ROUTES, engine.port) as started:
        yield started


@pytest.fixture(autouse=True)
def as_before(envoy: Setup, engine: Upstream) -> None:
    envoy.agent.calls.clear()
    engine.go_on.clear()


def _only(envoy: Setup) -> Record:
    (record,) = envoy.agent.calls
    return record


def _post(envoy: Setup, path: str, model: str = "m") -> httpx.Response:
    with envoy.client() as client:
        return client.post(path, json=chat(model_name=model))


def test_a_plain_request_is_no_call(envoy: Setup, engine: Upstream) -> None:
    engine.go_on.set()
    assert _post(envoy, "/v1/plain").status_code == 200
    assert envoy.agent.calls == []


@pytest.mark.parametrize("kind", ["json", "stream", "trailers", "dies", "leaves"])
def test_a_tracked_call_lasts_exactly_as_long_as_the_answer(envoy: Setup, engine: Upstream, kind: str) -> None:
    with envoy.client() as client:
        with client.stream("POST", "/v1/tracked", json=chat(), headers={"x-kind": kind}) as response:
            assert response.status_code == 200
            assert _only(envoy).open
            if kind != "leaves":
                engine.go_on.set()
                try:
                    response.read()
                except httpx.RemoteProtocolError:
                    assert kind == "dies"
        until(lambda: not _only(envoy).open, "the call's end", seconds=5)
    # One message, and one for trailers; none for the chunks.
    assert CHUNKS > 10
    assert _only(envoy).kinds == ["request_headers", *(["response_trailers"] if kind == "trailers" else [])]


def test_a_tracked_web_socket_is_one_call_as_long_as_it_is_open(envoy: Setup) -> None:
    url = httpx.URL(envoy.url)
    with socket.create_connection((HOST, url.port or 0), timeout=10) as client:
        lines = [f"GET {WEBSOCKET} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
        client.sendall("\r\n".join(lines).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        for _ in range(3):
            client.sendall(b"\x81\x81\0\0\0\0x")  # a masked text frame
            assert client.recv(100) == b"\x81\x04echo"
        assert _only(envoy).open
    until(lambda: not _only(envoy).open, "the call's end", seconds=5)
    assert _only(envoy).kinds == ["request_headers"]


def test_a_call_that_is_not_tracked_ends_before_the_answer_does(envoy: Setup) -> None:
    with envoy.client() as client, client.stream("POST", "/v1/counted", json=chat(), headers={"x-kind": "stream"}):
        until(lambda: not _only(envoy).open, "the call's end", seconds=5)
    assert _only(envoy).kinds == ["request_headers"]


def test_the_agent_knows_whose_request_it_is_and_sees_no_secret(envoy: Setup, engine: Upstream) -> None:
    engine.go_on.set()
    response = _post(envoy, "/v1/tracked", "some")
    assert _only(envoy).call == Call("t", "sk-shimmy-xxxxxxt0", "some", response.headers["x-request-id"])
    assert set(_only(envoy).headers) == {headers.REQUEST_ID, headers.KEY_ID, filters.ROUTE}


def test_a_models_route_takes_the_call_away_that_the_initial_route_asked_for(envoy: Setup, engine: Upstream) -> None:
    engine.go_on.set()
    assert _post(envoy, "/v1/tracked", "plain").status_code == 200
    assert envoy.agent.calls == []


def test_a_models_route_asks_for_a_call_though_the_initial_route_did_not(envoy: Setup, engine: Upstream) -> None:
    engine.go_on.set()
    assert _post(envoy, "/v1/armed", "other").status_code == 200
    assert envoy.agent.calls == []
    assert _post(envoy, "/v1/armed", "asleep").status_code == 200
    assert _only(envoy).call
    envoy.agent.stop()
    try:
        assert _post(envoy, "/v1/armed", "other").status_code == 200
        assert _post(envoy, "/v1/armed", "asleep").status_code == 503
    finally:
        envoy.agent.start()


def test_a_refusal_is_the_answer_and_reaches_no_engine(envoy: Setup, engine: Upstream) -> None:
    async def refuse(_: Call) -> Refused:
        return Refused(errors.TOO_MANY_REQUESTS, {"retry-after": "7"})

    before = engine.requests
    with _deciding(envoy, refuse):
        response = _post(envoy, "/v1/tracked")
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["retry-after"] == "7"
    assert engine.requests == before


def test_what_the_agent_says_of_limits_is_in_the_answers_headers(envoy: Setup, engine: Upstream) -> None:
    async def admit(_: Call) -> Admitted:
        return Admitted({ext_proc.LIMIT_HEADERS[1]: "41"})

    engine.go_on.set()
    with _deciding(envoy, admit):
        limited = _post(envoy, "/v1/tracked").headers
    assert limited["x-ratelimit-remaining-requests"] == "41"
    assert ext_proc.LIMIT_HEADERS[0] not in limited
    assert not set(ext_proc.LIMIT_HEADERS) & set(_post(envoy, "/v1/plain").headers)


def test_without_its_agent_envoy_goes_on_or_refuses_as_the_route_says(envoy: Setup, engine: Upstream) -> None:
    engine.go_on.set()
    envoy.agent.stop()
    try:
        assert _post(envoy, "/v1/plain").status_code == 200
        assert _post(envoy, "/v1/tracked").status_code == 200
        _refused(_post(envoy, "/v1/needed"))
    finally:
        envoy.agent.start()
    until(lambda: _post(envoy, "/v1/needed").status_code == 200, "calls again", seconds=10)


def test_an_agent_that_hangs_counts_as_away(envoy: Setup, engine: Upstream) -> None:
    released = threading.Event()

    async def hang(_: Call) -> Admitted:
        released.wait(3 * ext_proc.HOLD_MESSAGE_TIMEOUT_SECONDS)
        return Admitted()

    engine.go_on.set()
    with _deciding(envoy, hang):
        try:
            assert _post(envoy, "/v1/tracked").status_code == 200
            _refused(_post(envoy, "/v1/needed"))
        finally:
            released.set()


def test_a_decision_may_take_its_time(envoy: Setup, engine: Upstream) -> None:
    async def hold(_: Call) -> Admitted:
        await asyncio.sleep(3 * ext_proc.MESSAGE_TIMEOUT_SECONDS)
        return Admitted()

    engine.go_on.set()
    with _deciding(envoy, hold):
        for path in ("/v1/tracked", "/v1/needed"):
            response = _post(envoy, path)
            assert response.status_code == 200
            assert response.elapsed.total_seconds() > 3 * ext_proc.MESSAGE_TIMEOUT_SECONDS


def test_a_client_that_leaves_while_it_is_held_ends_the_call(envoy: Setup) -> None:
    left: list[Call] = []

    async def hold(call: Call) -> Admitted:
        try:
            await asyncio.sleep(30)
        finally:
            left.append(call)
        return Admitted()

    with _deciding(envoy, hold), envoy.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/needed", json=chat(), timeout=1)
        until(lambda: left, "the call's end", seconds=5)


@pytest.mark.usefixtures("engine")
def test_more_calls_at_a_time_than_allowed_count_as_an_agent_that_is_away(envoy: Setup) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_CALLS):
            client = stack.enter_context(envoy.client())
            request = client.build_request("POST", "/v1/tracked", json=chat())
            stack.enter_context(closing(client.send(request, stream=True)))
        assert [record.open for record in envoy.agent.calls] == [True] * MAX_CALLS
        _refused(_post(envoy, "/v1/needed"))
        client = stack.enter_context(envoy.client())
        assert stack.enter_context(client.stream("POST", "/v1/counted", json=chat())).status_code == 200
        assert len(envoy.agent.calls) == MAX_CALLS


@pytest.mark.parametrize("path", ["/v1/tracked", "/v1/counted", "/v1/needed"])
def test_an_answer_goes_on_when_the_agent_dies(envoy: Setup, engine: Upstream, path: str) -> None:
    with envoy.client() as client, client.stream("POST", path, json=chat(), headers={"x-kind": "stream"}) as response:
        assert response.status_code == 200
        envoy.agent.stop()
        try:
            engine.go_on.set()
            assert response.read().endswith(b"{}")
        finally:
            envoy.agent.start()


@contextmanager
def _deciding(envoy: Setup, decide: Decide) -> Iterator[None]:
    before, envoy.agent.decide = envoy.agent.decide, decide
    try:
        yield
    finally:
        envoy.agent.decide = before


def _refused(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "decision_unavailable"
    assert response.headers["retry-after"] == "1"
