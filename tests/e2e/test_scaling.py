"""A model that nobody asks for has no pod, and the first request brings it back."""

import json
from collections.abc import Iterator

import pytest
from tests.e2e.pods import engines
from tests.e2e.sleepers import NAME, SLEEP_SECONDS, asked, model, replicas, sleeper, sleeps

from devkit.demo.fleet import NAMESPACE, Fleet
from devkit.waiting import until


@pytest.fixture(scope="module")
def sleeping(fleet: Fleet) -> Iterator[Fleet]:
    """With an instance that sleeps."""
    with sleeper(fleet):
        yield fleet


def test_a_new_instance_that_may_sleep_starts_no_pod(sleeping: Fleet) -> None:
    until(lambda: sleeps(sleeping), "the instance sleeps", seconds=30, every=1)
    assert not engines(sleeping)


def test_the_first_request_waits_for_the_pod_that_it_wakes(sleeping: Fleet, url: str) -> None:
    answer = asked(sleeping, url)
    assert answer.status_code == 200, answer.text
    assert float(answer.headers["x-shimmy-wait"]) > 0
    assert replicas(sleeping) == 1
    assert "x-shimmy-wait" not in asked(sleeping, url).headers


def test_when_nobody_asks_for_it_the_pod_goes_and_the_status_says_why(sleeping: Fleet) -> None:
    until(lambda: sleeps(sleeping), "the instance sleeps again", seconds=SLEEP_SECONDS, every=1)
    found = sleeping.kubectl.get("shimmyinstance", NAME, NAMESPACE)
    assert found
    reasons = [(one["before"], one["after"], one["reason"]) for one in found["status"]["autoscaling"]["decisions"]]
    assert reasons == [(1, 0, "Idle"), (0, 1, "Woken")]
    events = sleeping.kubectl.run("get", "events", "-n", NAMESPACE, "-o", "json")
    told = {event["reason"] for event in json.loads(events)["items"] if event["involvedObject"]["name"] == NAME}
    assert {"Idle", "Woken"} <= told


def test_who_does_not_want_to_wait_is_told_how_long_a_start_takes(sleeping: Fleet, url: str) -> None:
    seconds = model(sleeping)["coldStarts"]["p95Seconds"]
    patch = {"spec": {"autoscaling": {"wake": {"holdSeconds": 0}}}}
    sleeping.kubectl.run("patch", "shimmyinstance", NAME, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch))
    until(lambda: _observed(sleeping), "the change is known", seconds=30)
    refused = asked(sleeping, url)
    assert refused.status_code == 503, refused.text
    assert refused.json()["error"]["code"] == "model_waking"
    assert refused.headers["retry-after"] == str(max(seconds, 1))
    until(lambda: asked(sleeping, url).is_success, "the model is awake", seconds=120, every=1)


def _observed(fleet: Fleet) -> bool:
    found = fleet.kubectl.get("shimmyinstance", NAME, NAMESPACE)
    return found is not None and found["status"]["observedGeneration"] == found["metadata"]["generation"]
