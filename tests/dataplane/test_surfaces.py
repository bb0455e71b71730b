"""Every path of every API, and Envoy's own answers in each API's words."""

import json
from typing import Any

import httpx
import pytest
from tests.contract.ws import WebSocket, connect
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import key_of

from devkit.waiting import until
from shimmy_api import errors
from shimmy_api.errors import ApiError
from shimmy_api.unsupported import UNSUPPORTED, unsupported
from shimmy_engine.surfaces.choice import surface_of
from shimmy_router.xds.paths import API_PATHS, OLLAMA_RUNNING, OLLAMA_TAGS, OLLAMA_VERSION, SHIMMY_MODELS

EVENTS = {"accept": "text/event-stream"}
ANTHROPIC = {"anthropic-version": "2023-06-01"}
LISTS = ("/v1/models", OLLAMA_TAGS, OLLAMA_RUNNING, OLLAMA_VERSION, SHIMMY_MODELS, "/")


def expect(response: httpx.Response, error: ApiError) -> None:
    """Just what the runner would say: Envoy answers in its place."""
    request = response.request
    surface = surface_of(request.url.path, {name.lower(): value for name, value in request.headers.items()})
    request_id = response.headers["x-request-id"]
    assert response.status_code == error.status
    assert response.headers["content-type"] == "application/json"
    if request.method != "HEAD":
        assert response.json() == json.loads(surface.error(error, request_id))
    if surface.request_id_header:
        assert response.headers[surface.request_id_header] == request_id


@pytest.mark.parametrize(("path", "extra"), [*((path, {}) for path in API_PATHS), ("/api/generate", EVENTS)])
def test_what_a_body_lacks_is_said_in_the_apis_words(fleet: Fleet, path: str, extra: dict[str, str]) -> None:
    with fleet.plane.client(key_of("b")) as client:
        expect(client.post(path, content=b"{", headers=extra), errors.INVALID_JSON)
        expect(client.post(path, json={}, headers=extra), errors.NO_MODEL)
        expect(client.post(path, json={"model": "m"}, headers=extra), errors.MODEL_NOT_FOUND)
        unavailable = client.post(path, json={"model": "cold"}, headers=extra)
        expect(unavailable, errors.MODEL_UNAVAILABLE)
        assert unavailable.headers["retry-after"] == "5"


@pytest.mark.parametrize("path", [*API_PATHS, *LISTS, "/v1/models/m", "/ws/generate", "/nowhere"])
def test_every_path_wants_a_key(fleet: Fleet, path: str) -> None:
    with fleet.plane.client() as client:
        for method in ("GET", "POST"):
            expect(client.request(method, path), errors.MISSING_KEY)
            expect(client.request(method, path, headers={"x-api-key": key_of("z")}), errors.INVALID_KEY)


@pytest.mark.parametrize("path", API_PATHS)
def test_a_path_for_bodies_takes_nothing_but_post(fleet: Fleet, path: str) -> None:
    with fleet.plane.client(key_of("a")) as client:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            response = client.request(method, path + "?x=1")
            expect(response, errors.METHOD_NOT_ALLOWED)
            assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", [*LISTS, "/v1/models/m"])
def test_a_list_is_only_read(fleet: Fleet, path: str) -> None:
    with fleet.plane.client(key_of("a")) as client:
        assert client.get(path).is_success
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        response = client.post(path, json={"model": "m"})
        expect(response, errors.METHOD_NOT_ALLOWED)
        assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(("method", "path", "what"), UNSUPPORTED)
def test_what_no_engine_does_needs_no_engine(fleet: Fleet, method: str, path: str, what: str) -> None:
    with fleet.plane.client(key_of("b")) as client:
        response = client.request(method, path.format(digest="sha256:00"), json={"model": "cold"})
    expect(response, unsupported(what))
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/nowhere", "/v1/", "/api/nowhere", "/v1/messages/batches", "/internal/journal"])
def test_an_unknown_path_is_not_found(fleet: Fleet, path: str) -> None:
    with fleet.plane.client(key_of("a")) as client:
        expect(client.get(path), errors.NOT_FOUND)
        expect(client.post(path, json={"model": "m"}), errors.NOT_FOUND)


@pytest.mark.parametrize("extra", [{}, ANTHROPIC])
def test_a_model_that_is_not_the_keys_is_unknown_in_either_clients_words(fleet: Fleet, extra: dict[str, str]) -> None:
    with fleet.plane.client(key_of("b")) as client:
        expect(client.get("/v1/models/m", headers=extra), errors.MODEL_NOT_FOUND)


def test_lists_say_which_models_answer(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("b")) as client:
        openai = {entry["id"]: entry["state"] for entry in client.get("/v1/models").json()["data"]}
        tags = [entry["name"] for entry in client.get(OLLAMA_TAGS).json()["models"]]
        running = [entry["name"] for entry in client.get(OLLAMA_RUNNING).json()["models"]]
        assert client.get("/v1/models/cold").json()["state"] == "Unavailable"
    assert openai == {"cold": "Unavailable", "own": "Ready"}
    assert (tags, running) == (["cold", "own"], ["own"])


def test_the_root_is_an_ollama(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("a")) as client:
        response = client.get("/")
    assert (response.text, response.headers["content-type"]) == ("Ollama is running", "text/plain")


@pytest.mark.parametrize("body", [{"model": "gpt:latest"}, {"name": "gpt"}, {"name": "nothing", "model": "gpt"}])
def test_a_model_goes_by_the_names_that_ollamas_clients_have_for_it(fleet: Fleet, body: dict[str, str]) -> None:
    with fleet.plane.client(key_of("a")) as client:
        response = client.post("/api/show", json=body)
    assert response.headers["x-shimmy-model"] == "m"


@pytest.mark.parametrize(
    ("target", "extra"),
    [
        ("?model=m", {}),
        ("?a=b&model=gpt&c=d", {}),
        ("?model=%6d%3Alatest", {}),
        ("", {"x-model": "gpt"}),
        ("?model=m", {"x-model": "nothing"}),
    ],
)
def test_a_websocket_names_its_model_in_the_query_or_a_header(fleet: Fleet, target: str, extra: dict[str, str]) -> None:
    with socket(fleet, target, extra) as opened:
        assert (opened.status, opened.headers["x-shimmy-model"]) == (101, "m")
        opened.send({"prompt": "hello world"})
        *texts, last = opened.rest()
    assert "".join(texts)
    done = json.loads(last)
    assert (done["done"], done["model"], opened.close_code) == (True, "m", 1000)
    (record,) = until(lambda: _of(fleet, opened.headers["x-request-id"]), "the record", seconds=10)
    assert (record["tenant"], record["keyId"]) == ("a", key_of("a")[:18])
    assert record["completionTokens"] == done["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    ("target", "error"),
    [("", errors.NO_MODEL), ("?model=", errors.NO_MODEL), ("?model=nothing", errors.MODEL_NOT_FOUND)],
)
def test_a_websocket_without_a_model_is_not_opened(fleet: Fleet, target: str, error: ApiError) -> None:
    with socket(fleet, target, {}) as refused:
        while not refused.close_code:
            refused._receive()
    assert refused.status == error.status
    assert json.loads(refused.body) == json.loads(error.body())


def socket(fleet: Fleet, target: str, extra: dict[str, str]) -> WebSocket:
    return connect(f"{fleet.plane.url}/ws/generate{target}", {"authorization": f"Bearer {key_of('a')}"} | extra)


def _of(fleet: Fleet, request_id: str) -> list[dict[str, Any]]:
    return [record for record in fleet.engine.usage() if record["requestId"] == request_id]
