"""Requests for a model without a pod wait in the router until there is one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet
from tests.dataplane.echo_pod import EchoPod, echo_pod
from tests.dataplane.plane import chat, key_of, model, tenant

from devkit.waiting import until

PATH = "/v1/chat/completions"
SCALED = {"maxReplicas": 2, "minReplicas": 0}
Ask = Callable[..., Future[httpx.Response]]


def scaled(owner: str, name: str, ports: Sequence[int] = (), state: str = "", **wake: Any) -> list[dict[str, Any]]:
    """A model whose instance is scaled by load."""
    objects = model(owner, name, ports=ports)
    objects[1]["spec"]["autoscaling"] = SCALED | {"wake": wake}
    objects[1]["status"] = {"models": [{"name": name, "state": state, "coldStarts": {"p95Seconds": 33}}] * bool(state)}
    for slice_ in objects[2:]:
        slice_["metadata"]["labels"]["shimmy.dev/instance"] = f"i-{name}"
    return objects


@pytest.fixture(scope="module")
def pod() -> Iterator[EchoPod]:
    """It tells no load, so that nothing that was held goes there."""
    with echo_pod() as started:
        yield started


@pytest.fixture
def ask(fleet: Fleet) -> Iterator[Ask]:
    """Asks as a tenant, in a thread of its own."""
    with ThreadPoolExecutor(32) as pool:

        def asked(tenant_name: str, model_name: str, **options: Any) -> Future[httpx.Response]:
            def post() -> httpx.Response:
                with fleet.plane.client(key_of(tenant_name)) as client:
                    return client.post(PATH, json=chat(model_name=model_name), **options)

            return pool.submit(post)

        yield asked


def held(fleet: Fleet, owner: str, name: str) -> float:
    line = f'shimmy_router_held_requests{{model="{name}",tenant="{owner}"}} '
    return next(
        (float(found[len(line) :]) for found in fleet.plane.metrics().splitlines() if found.startswith(line)), 0
    )


def write(fleet: Fleet, name: str, *objects: dict[str, Any], **spec: Any) -> None:
    """Write a tenant and its objects, and wait until the router knows them."""
    marker = f"seen-{len(objects)}-{abs(hash(str(objects) + str(spec)))}"
    fleet.objects.write(name, [*tenant(name, token=TOKEN, **spec), *objects, *model(name, marker)])
    with fleet.plane.client(key_of(name)) as client:
        until(lambda: marker in client.get("/v1/models").text, "the objects", seconds=10)


def test_requests_wait_for_the_first_pod_and_are_told_how_long(fleet: Fleet, ask: Ask) -> None:
    write(fleet, "w1", *scaled("w1", "m"))
    waiting = [ask("w1", "m") for _ in range(5)]
    until(lambda: held(fleet, "w1", "m") == 5, "the requests to be held", seconds=10)
    write(fleet, "w1", *scaled("w1", "m", [fleet.port]))
    answers = [found.result(20) for found in waiting]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert all(float(answer.headers["x-shimmy-wait"]) > 0 for answer in answers)
    until(lambda: held(fleet, "w1", "m") == 0, "the requests to have gone", seconds=10)
    answer = ask("w1", "m").result(20)
    assert answer.status_code == 200
    assert "x-shimmy-wait" not in answer.headers


def test_while_it_may_fall_asleep_requests_go_on_by_way_of_the_agent(fleet: Fleet, pod: EchoPod, ask: Ask) -> None:
    write(fleet, "w2", *scaled("w2", "m", [fleet.port], state="Idle"), *scaled("w2", "other", [pod.port]))
    assert ask("w2", "m").result(20).status_code == 200
    assert ask("w2", "other").result(20).status_code == 200
    write(fleet, "w2", *scaled("w2", "m", state="AtZero"), *scaled("w2", "other", [pod.port]))
    waiting = ask("w2", "m")
    until(lambda: held(fleet, "w2", "m") == 1, "the request to be held", seconds=10)
    assert ask("w2", "other").result(20).status_code == 200
    write(fleet, "w2", *scaled("w2", "m", [fleet.port], state="Ready"))
    assert waiting.result(20).status_code == 200


def test_past_the_bounds_the_answer_says_when_to_come_again(fleet: Fleet, ask: Ask) -> None:
    write(fleet, "w3", *scaled("w3", "m", state="AtZero", mostHeld=1, holdSeconds=2))
    first = ask("w3", "m")
    until(lambda: held(fleet, "w3", "m") == 1, "the request to be held", seconds=10)
    second = ask("w3", "m").result(20)
    assert (second.status_code, second.json()["error"]["code"]) == (503, "too_many_held")
    assert 0 < int(second.headers["retry-after"]) <= 33
    late = first.result(20)
    assert (late.status_code, late.json()["error"]["code"]) == (503, "model_waking")
    assert 0 < int(late.headers["retry-after"]) <= 33


def test_each_api_says_it_in_its_own_words(fleet: Fleet) -> None:
    write(fleet, "w4", *scaled("w4", "m", holdSeconds=0))
    with fleet.plane.client(key_of("w4")) as client:
        body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
        anthropic = client.post("/v1/messages", json=body)
        ollama = client.post("/api/chat", json=chat())
    assert (anthropic.status_code, anthropic.json()["type"]) == (503, "error")
    assert isinstance(ollama.json()["error"], str)
    assert {anthropic.headers["retry-after"], ollama.headers["retry-after"]} == {"10"}


def test_a_model_that_stands_in_answers_at_once(fleet: Fleet, pod: EchoPod, ask: Ask) -> None:
    asleep = scaled("w5", "m")
    asleep[1]["spec"]["routing"] = {"fallback": {"models": ["small"]}}
    write(fleet, "w5", *asleep, *model("w5", "small", ports=[pod.port]))
    answer = ask("w5", "m").result(20)
    assert (answer.status_code, answer.json()["x-shimmy-model"]) == (200, "small")
    assert "x-shimmy-wait" not in answer.headers


def test_a_client_that_leaves_is_not_waited_for(fleet: Fleet, ask: Ask) -> None:
    write(fleet, "w6", *scaled("w6", "m"))
    leaving = ask("w6", "m", timeout=1)
    until(lambda: held(fleet, "w6", "m") == 1, "the request to be held", seconds=10)
    with pytest.raises(httpx.ReadTimeout):
        leaving.result(20)
    until(lambda: held(fleet, "w6", "m") == 0, "the client to be gone", seconds=10)


def test_a_held_request_counts_as_running_for_limits(fleet: Fleet, ask: Ask) -> None:
    limits = {"concurrent": 1}
    write(fleet, "w7", *scaled("w7", "m"), limits=limits)
    first = ask("w7", "m")
    until(lambda: held(fleet, "w7", "m") == 1, "the request to be held", seconds=10)
    assert ask("w7", "m").result(20).json()["error"]["code"] == "concurrency_limit_exceeded"
    write(fleet, "w7", *scaled("w7", "m", [fleet.port]), limits=limits)
    assert first.result(20).status_code == 200
    until(lambda: ask("w7", "m").result(20).is_success, "the limit to be free again", seconds=10)


def test_who_may_use_anothers_model_waits_for_its_pod_too(fleet: Fleet, ask: Ask) -> None:
    def lent(ports: Sequence[int]) -> list[dict[str, Any]]:
        objects = scaled("w8", "m", ports)
        objects[0]["spec"]["sharedWith"] = {"tenants": ["w9"]}
        return objects

    write(fleet, "w9")
    write(fleet, "w8", *lent([]))
    with fleet.plane.client(key_of("w9")) as client:
        until(lambda: '"m"' in client.get("/v1/models").text, "the shared model", seconds=10)
    waiting = ask("w9", "m")
    until(lambda: held(fleet, "w8", "m") == 1, "the request to be held", seconds=10)
    write(fleet, "w8", *lent([fleet.port]))
    assert waiting.result(20).status_code == 200


def test_a_pod_that_is_ready_answers_before_its_endpoint_slice_says_so(fleet: Fleet, ask: Ask) -> None:
    write(fleet, "w12", *scaled("w12", "m"))
    waiting = ask("w12", "m")
    until(lambda: held(fleet, "w12", "m") == 1, "the request to be held", seconds=10)
    objects = scaled("w12", "m", [fleet.port])
    objects[2]["endpoints"][0]["conditions"]["ready"] = False
    write(fleet, "w12", *objects)
    answer = waiting.result(20)
    assert answer.status_code == 200
    assert float(answer.headers["x-shimmy-wait"]) > 0
