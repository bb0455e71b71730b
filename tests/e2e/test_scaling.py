"""A model that nobody asks for has no pod, and the first request brings it back."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from tests.e2e.pods import engines

from devkit.demo.fleet import INSTANCE, MODEL, NAMESPACE, Fleet
from devkit.waiting import until
from shimmy_api import names

NAME = "sleeper"
DEPLOYMENT = names.serving(NAME, MODEL)
SLEEP_SECONDS = 120
"""Ten without a request, thirty for which a peak counts, and what the routers need to agree and the pod to go."""


@pytest.fixture(scope="module")
def sleeper(fleet: Fleet) -> Iterator[Fleet]:
    """With an instance that sleeps, in the room of the demo's own."""
    scale = ("scale", f"shimmyinstance/{INSTANCE}", "-n", NAMESPACE)
    fleet.kubectl.run(*scale, "--replicas=0")
    until(lambda: not engines(fleet), "the demo's pod is gone", seconds=90, every=1)
    fleet.kubectl.apply(yaml.safe_dump(_instance()))
    yield fleet
    fleet.kubectl.run("delete", "shimmyinstance", "-n", NAMESPACE, NAME)
    fleet.kubectl.run(*scale, "--replicas=1")
    fleet.kubectl.wait_ready("shimmyinstance", INSTANCE, NAMESPACE)


def _instance() -> dict[str, Any]:
    autoscaling = {"minReplicas": 0, "maxReplicas": 1, "idleSeconds": 10}
    engine = {"flavor": "llama", "resources": {"cpu": "1"}}
    return {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyInstance",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"models": [MODEL], "engine": engine, "autoscaling": autoscaling},
    }


def _asked(fleet: Fleet, url: str) -> httpx.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    headers = {"authorization": f"Bearer {fleet.key()}"}
    return httpx.post(f"{url}/chat/completions", json=body, headers=headers, timeout=180)


def _model(fleet: Fleet) -> dict[str, Any]:
    found = fleet.kubectl.get("shimmyinstance", NAME, NAMESPACE) or {}
    models = found.get("status", {}).get("models") or [{}]
    return dict(models[0])


def _replicas(fleet: Fleet) -> int | None:
    found = fleet.kubectl.get("deployment", DEPLOYMENT, NAMESPACE)
    return int(found["spec"]["replicas"]) if found else None


def _sleeps(fleet: Fleet) -> bool:
    return _replicas(fleet) == 0 and _model(fleet).get("state") == "AtZero"


def test_a_new_instance_that_may_sleep_starts_no_pod(sleeper: Fleet) -> None:
    until(lambda: _sleeps(sleeper), "the instance sleeps", seconds=30, every=1)
    assert not engines(sleeper)


def test_the_first_request_waits_for_the_pod_that_it_wakes(sleeper: Fleet, url: str) -> None:
    answer = _asked(sleeper, url)
    assert answer.status_code == 200, answer.text
    assert float(answer.headers["x-shimmy-wait"]) > 0
    assert _replicas(sleeper) == 1
    assert "x-shimmy-wait" not in _asked(sleeper, url).headers


def test_when_nobody_asks_for_it_the_pod_goes_and_the_status_says_why(sleeper: Fleet) -> None:
    until(lambda: _sleeps(sleeper), "the instance sleeps again", seconds=SLEEP_SECONDS, every=1)
    found = sleeper.kubectl.get("shimmyinstance", NAME, NAMESPACE)
    assert found
    reasons = [(one["before"], one["after"], one["reason"]) for one in found["status"]["autoscaling"]["decisions"]]
    assert reasons == [(1, 0, "Idle"), (0, 1, "Woken")]
    events = sleeper.kubectl.run("get", "events", "-n", NAMESPACE, "-o", "json")
    told = {event["reason"] for event in json.loads(events)["items"] if event["involvedObject"]["name"] == NAME}
    assert {"Idle", "Woken"} <= told


def test_who_does_not_want_to_wait_is_told_how_long_a_start_takes(sleeper: Fleet, url: str) -> None:
    seconds = _model(sleeper)["coldStarts"]["p95Seconds"]
    patch = {"spec": {"autoscaling": {"wake": {"holdSeconds": 0}}}}
    sleeper.kubectl.run("patch", "shimmyinstance", NAME, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch))
    until(lambda: _observed(sleeper), "the change is known", seconds=30)
    refused = _asked(sleeper, url)
    assert refused.status_code == 503, refused.text
    assert refused.json()["error"]["code"] == "model_waking"
    assert refused.headers["retry-after"] == str(max(seconds, 1))
    until(lambda: _asked(sleeper, url).is_success, "the model is awake", seconds=120, every=1)


def _observed(fleet: Fleet) -> bool:
    found = fleet.kubectl.get("shimmyinstance", NAME, NAMESPACE)
    return found is not None and found["status"]["observedGeneration"] == found["metadata"]["generation"]
