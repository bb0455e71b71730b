"""A tenant with a router of its own."""

from collections.abc import Iterator

import pytest
from tests.e2e.sleepers import SLEEP_SECONDS, asked, sleeper, sleeps
from tests.e2e.tenants import change_demo, status

from devkit.demo.chat import chat
from devkit.demo.fleet import MODEL, NAMESPACE, Fleet
from devkit.waiting import until
from shimmy_api import names

OK, UNAUTHORIZED = 200, 401


@pytest.fixture
def own(fleet: Fleet, url: str) -> Iterator[str]:
    """Base URL of the demo tenant's own router, while it has one."""
    router = names.TENANT_ROUTER
    try:
        change_demo(fleet, router="Dedicated")
        fleet.kubectl.run("rollout", "status", f"deployment/{router}", "-n", NAMESPACE, "--timeout=120s")
        with fleet.kubectl.port_forward(f"service/{router}", 80, NAMESPACE) as port:
            yield f"http://127.0.0.1:{port}/v1"
    finally:
        change_demo(fleet, router="Shared")
        until(lambda: status(url, fleet.key()) == OK, "the shared router knows the key again", seconds=60)


def test_it_answers_for_its_tenant_alone_and_the_shared_one_for_all_others(
    fleet: Fleet, url: str, own: str, other: str
) -> None:
    demo, others = fleet.key(), fleet.key("default", other)
    until(lambda: status(own, demo) == OK, "the tenant's router knows the key", seconds=30)
    until(lambda: status(url, demo) == UNAUTHORIZED, "the shared router forgets the tenant", seconds=30)
    answer = chat(own, demo, MODEL, "Hello", max_tokens=4)
    assert answer.completion_tokens > 0
    assert (status(own, others), status(url, others)) == (UNAUTHORIZED, OK)


def test_a_model_falls_asleep_behind_it_and_a_request_wakes_it(fleet: Fleet, own: str) -> None:
    until(lambda: status(own, fleet.key()) == OK, "the tenant's router knows the key", seconds=30)
    with sleeper(fleet):
        until(lambda: sleeps(fleet), "the instance sleeps", seconds=30, every=1)
        answer = asked(fleet, own)
        assert answer.status_code == OK, answer.text
        assert float(answer.headers["x-shimmy-wait"]) > 0
        until(lambda: sleeps(fleet), "the instance sleeps again", seconds=SLEEP_SECONDS, every=1)


def test_the_shared_router_reaches_the_engines_again_when_it_goes(fleet: Fleet, url: str) -> None:
    assert chat(url, fleet.key(), MODEL, "Hello", max_tokens=4).completion_tokens > 0
