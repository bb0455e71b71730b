"""What the router tells those who look after it."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.contract.running import TOKEN, Runner
from tests.dataplane.conftest import serve
from tests.dataplane.plane import HOST, START, Objects, Plane, chat, key_of, model, plane, tenant

from devkit.waiting import until

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, engine: Runner) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("admin")
    objects = Objects(folder / "objects")
    port = httpx.URL(engine.url).port
    assert port
    serve(objects, port)
    shared, *others = model("s", "m", ports=[port])
    shared["spec"]["sharedWith"] = {"allTenants": True}
    objects.write("s", [*tenant("s", token=TOKEN), shared, *others])
    # What stands in is another tenant's.
    objects.write("x", [*tenant("x", token=TOKEN, fallback={"models": ["m"]}), *model("x", "cold")])
    with plane(folder, ["--directory", str(objects.folder)], listen=["--access-log"]) as started:
        until(lambda: _ask(started, key_of("a"), "m").is_success, "tenant a is served", seconds=START)
        until(lambda: _ask(started, key_of("x"), "m").is_success, "tenant x is served", seconds=START)
        yield started


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("a", "m"),
        ("a", "gpt"),
        ("a", "gpt:latest"),
        ("a", "own"),
        ("s", "m"),
        ("b", "m"),
        ("b", "cold"),
        ("b", "gpt"),
        ("x", "m"),
        ("x", "cold"),
    ],
)
def test_the_explanation_of_a_request_is_what_becomes_of_it(router: Plane, name: str, asked: str) -> None:
    explained = _debug(router, "/debug/route", tenant=name, model=asked).json()["answer"]
    response = _ask(router, key_of(name), asked)
    if response.is_success:
        assert (explained["outcome"], explained["model"]) == ("Served", response.headers["x-shimmy-model"])
        assert explained.get("reason") == response.headers.get("x-shimmy-reason")
    else:
        error = response.json()["error"]
        found = (explained["status"], explained["code"], explained["message"])
        assert found == (response.status_code, error["code"], error["message"])


def test_all_tenants_are_listed(router: Plane) -> None:
    listed = _debug(router, "/debug/tenants").json()["tenants"]
    assert [entry["name"] for entry in listed] == ["a", "b", "s", "x"]


def test_no_key_or_token_is_shown(router: Plane) -> None:
    for response in (_debug(router, "/debug/tenants"), _debug(router, "/debug/route", tenant="a", model="m")):
        assert key_of("a")[:18] in response.text
        assert key_of("a")[19:] not in response.text
        assert TOKEN not in response.text


@pytest.mark.parametrize(("question", "status"), [({"tenant": "nobody", "model": "m"}, 404), ({"tenant": "a"}, 400)])
def test_a_question_without_an_answer_is_refused(router: Plane, question: dict[str, str], status: int) -> None:
    assert _debug(router, "/debug/route", **question).status_code == status


def test_explanations_are_not_on_the_port_that_prometheus_reaches(router: Plane) -> None:
    response = httpx.get(f"http://{HOST}:{router.metrics_port}/debug/tenants", trust_env=False)
    assert response.status_code == 404


def test_metrics_have_what_envoy_itself_counts(router: Plane) -> None:
    with router.client() as client:
        client.get("/v1/models")
        found = re.search(r"^envoy_http_downstream_cx_active\{.*\} (\d+)$", router.metrics(), re.MULTILINE)
        assert found
        assert int(found[1]) >= 1


def test_explanations_are_on_the_loopback_address_only(router: Plane) -> None:
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", router.debug_port)) != 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", router.debug_port)) == 0


def test_requests_are_logged_as_json_without_what_they_say(router: Plane) -> None:
    key, prompt = key_of("a"), "nobody-shall-read-this"
    with router.client(key) as client:
        response = client.post(f"{PATH}?api_key=hidden", json=chat(prompt))
    entry = until(lambda: _logged(router, response.headers["x-request-id"]), "the log", seconds=10)
    assert (
        entry.items()
        >= {
            "tenant": "a",
            "key_id": key[:18],
            "model": "m",
            "method": "POST",
            "path": PATH,
            "status": 200,
        }.items()
    )
    text = router.log_file.read_text()
    assert not [word for word in (prompt, "hidden", key[19:], TOKEN) if word in text]


def test_probes_are_not_logged(router: Plane) -> None:
    assert router.ready()
    response = _ask(router, key_of("a"), "m")
    until(lambda: _logged(router, response.headers["x-request-id"]), "the log", seconds=10)
    assert "/readyz" not in {entry["path"] for entry in _log(router)}


def _log(router: Plane) -> list[dict[str, Any]]:
    lines = router.log_file.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _logged(router: Plane, request_id: str) -> dict[str, Any] | None:
    return next((entry for entry in _log(router) if entry["request_id"] == request_id), None)


def _ask(router: Plane, key: str, model: str) -> httpx.Response:
    with router.client(key) as client:
        return client.post(PATH, json=chat(model_name=model))


def _debug(router: Plane, path: str, **question: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{router.debug_port}{path}", params=question, trust_env=False)
