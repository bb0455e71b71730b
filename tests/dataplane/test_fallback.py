"""A model of the chain answers where the one that was asked for cannot, and says so."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet
from tests.dataplane.failing_pod import HANG, FailingPod, failing_pod
from tests.dataplane.plane import chat, key_of, model, tenant

from devkit.waiting import until
from shimmy_api.headers import MOST_MOVES

NOBODY = 9
"""A port on which nothing listens: discard."""
_MANY = 20
"""Requests, of which about half go to one of two pods first."""


@pytest.fixture(scope="module")
def pod() -> Iterator[FailingPod]:
    with failing_pod() as started:
        yield started


def with_rule(name: str, ports: list[int], **routing: Any) -> list[dict[str, Any]]:
    """A model of tenant f whose instance has this routing."""
    objects = model("f", name, ports=ports)
    objects[1]["spec"]["routing"] = routing
    return objects


@pytest.fixture(scope="module")
def sound_pod() -> Iterator[FailingPod]:
    with failing_pod() as started:
        started.status = 200
        yield started


@pytest.fixture(scope="module")
def client(fleet: Fleet, pod: FailingPod, sound_pod: FailingPod) -> Iterator[httpx.Client]:
    chain = {"models": ["m"]}
    fleet.objects.write(
        "f",
        [
            *tenant("f", token=TOKEN, fallback={"models": ["m"], "when": ["NoPod"]}),
            *model("f", "m", ports=[fleet.port]),
            *with_rule("fails", [pod.port], fallback=chain, firstByteSeconds=1),
            *with_rule("dead", [NOBODY], fallback=chain),
            *with_rule("cold", [], fallback=chain),
            *with_rule("strict", [], fallback={"models": ["m"], "when": ["Error"]}),
            *with_rule("busy", [pod.port], fallback={"models": ["m"], "when": ["Error"]}),
            *with_rule("long", [], fallback={"models": ["cold", "dead", "m"]}),
            *model("f", "tenants-rule"),
            *with_rule("half", [pod.port, sound_pod.port], fallback=chain),
            *with_rule("hopeless", [], fallback={"models": ["cold"]}),
        ],
    )
    with fleet.plane.client(key_of("f")) as found:
        until(lambda: "hopeless" in found.get("/v1/models").text, "the models", seconds=10)
        yield found


def ask(client: httpx.Client, name: str, **options: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json=chat(model_name=name, **options))


def served(response: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, model and reason."""
    return response.status_code, response.headers.get("x-shimmy-model"), response.headers.get("x-shimmy-reason")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [429, 500, 502, 503, HANG])
def test_a_pod_that_fails_before_its_first_byte_is_replaced(
    client: httpx.Client, pod: FailingPod, status: int, stream: bool
) -> None:
    pod.status = status
    assert served(ask(client, "fails", stream=stream)) == (200, "m", "retried")


def test_pods_that_cannot_be_reached_are_replaced(client: httpx.Client) -> None:
    assert served(ask(client, "dead")) == (200, "m", "retried")


@pytest.mark.parametrize("name", ["cold", "tenants-rule"])
def test_a_model_without_a_pod_is_replaced_by_its_instances_rule_or_its_tenants(
    client: httpx.Client, name: str
) -> None:
    assert served(ask(client, name)) == (200, "m", "no_pod")


def test_the_chain_is_followed_to_its_end(client: httpx.Client) -> None:
    assert served(ask(client, "long")) == (200, "m", "retried")


def test_what_is_no_trigger_is_no_reason(client: httpx.Client, pod: FailingPod) -> None:
    refused = ask(client, "strict")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
    pod.status = 429
    assert ask(client, "busy").status_code == 429


def test_what_stood_in_and_why_is_counted(client: httpx.Client, fleet: Fleet, pod: FailingPod) -> None:
    def counted(asked: str, reason: str) -> float:
        labels = f'{{asked="{asked}",model="m",reason="{reason}",tenant="f"}}'
        found = re.search(
            rf"^shimmy_router_fallbacks_total{re.escape(labels)} (\S+)$", fleet.plane.metrics(), re.MULTILINE
        )
        return float(found[1]) if found else 0

    pod.status = 500
    for asked, reason in (("fails", "retried"), ("cold", "no_pod")):
        before = counted(asked, reason)
        assert served(ask(client, asked)) == (200, "m", reason)
        until(lambda a=asked, r=reason, b=before: counted(a, r) > b, "the count", seconds=10)  # type: ignore[misc]


def test_a_chain_without_a_pod_refuses_as_the_model_would(client: httpx.Client) -> None:
    refused = ask(client, "hopeless")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
    assert refused.headers["retry-after"]


def test_a_model_that_answers_gives_no_reason(client: httpx.Client) -> None:
    assert served(ask(client, "m")) == (200, "m", None)


def test_the_answer_says_which_model_it_is_from(client: httpx.Client) -> None:
    assert ask(client, "cold").json()["model"] == "m"


def test_each_try_goes_to_another_pod_or_model(client: httpx.Client, pod: FailingPod) -> None:
    pod.status, before = 500, pod.asked
    assert ask(client, "fails").status_code == 200
    assert pod.asked - before == 2, "as often as the instance's retries say, and once before"


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_leaves_the_pod_that_could_not_answer(client: httpx.Client, pod: FailingPod, status: int) -> None:
    pod.status, before = status, pod.asked
    answers = [served(ask(client, "half")) for _ in range(_MANY)]
    assert pod.asked > before
    assert answers == [(200, None, None)] * _MANY, "another model is asked only when its own pods were"


@pytest.fixture(scope="module")
def plain(fleet: Fleet, pod: FailingPod) -> Iterator[httpx.Client]:
    """A tenant without any fallback."""
    patient, hasty = model("g", "patient", ports=[pod.port]), model("g", "hasty", ports=[pod.port])
    patient[1]["spec"]["routing"] = {"retries": 2}
    hasty[1]["spec"]["routing"] = {"retries": 0, "firstByteSeconds": 1}
    fleet.objects.write("g", [*tenant("g", token=TOKEN), *patient, *hasty])
    with fleet.plane.client(key_of("g")) as found:
        until(lambda: "patient" in found.get("/v1/models").text, "the models", seconds=10)
        yield found


def test_a_model_without_a_chain_is_tried_as_often_as_its_instance_says(plain: httpx.Client, pod: FailingPod) -> None:
    pod.status, before = 503, pod.asked
    assert ask(plain, "patient").status_code == 503
    assert pod.asked - before == 1 + 2 + MOST_MOVES


def test_an_answer_that_does_not_begin_is_given_up(plain: httpx.Client, pod: FailingPod) -> None:
    pod.status = HANG
    refused = ask(plain, "hasty")
    assert (refused.status_code, refused.json()["error"]["code"]) == (504, "engine_timeout")
