"""What a load asks for, second by second."""

from dataclasses import replace

import pytest

from shimmy_api.load import DeploymentTotal, PodLoad
from shimmy_operator.scaling.load import (
    Rest,
    Routers,
    Rule,
    all_hold,
    all_listen,
    burst,
    deletion_costs,
    is_due,
    is_settled,
    rest,
    shrinks,
    unused,
)

RULE = Rule(model="tiny", least=0, target_percent=100, idle_seconds=60, at_once=True)


def total(peak: int = 0, **more: object) -> DeploymentTotal:
    return DeploymentTotal.model_validate({"namespace": "a", "deployment": "chat-tiny", "peak": peak, **more})


@pytest.mark.parametrize(
    ("replicas", "peak", "percent", "number"),
    [
        (1, 5, 100, 5),
        (1, 50, 100, 8),  # its share
        (2, 3, 80, 4),
        (2, 3, 150, None),
        (10, 11, 100, None),  # within the autoscaler's tolerance
        (5, 6, 100, 6),
        (5, 2, 100, None),
        (0, 5, 100, None),
        (8, 50, 100, None),
    ],
)
def test_a_burst_gets_what_the_autoscaler_would_give_it(
    replicas: int, peak: int, percent: int, number: int | None
) -> None:
    assert burst(replace(RULE, target_percent=percent), replicas, 8, peak) == number


def test_who_has_rules_for_scaling_up_gets_no_burst() -> None:
    assert burst(replace(RULE, at_once=False), 1, 8, 5) is None


def test_pods_are_about_to_go_where_there_are_more_than_load_and_the_least_ask_for() -> None:
    assert shrinks(RULE, 3, 9, 2)
    assert not shrinks(RULE, 1, 9, 0)
    assert not shrinks(replace(RULE, least=3), 3, 9, 0)
    assert shrinks(RULE, 3, 2, 3)


def test_a_deployment_rests_from_the_end_of_its_last_request() -> None:
    busy = rest(Rest(), RULE, total(2), 100, awake=True)
    calm = rest(busy, RULE, total(), 140, awake=True)
    assert calm.since == 110  # the peak has been held for 30 s
    assert not is_due(calm, RULE, 169)
    assert is_due(calm, RULE, 170)


def test_what_was_before_the_operator_looked_does_not_count() -> None:
    calm = rest(Rest(), RULE, total(), 100, awake=True)
    assert calm.since == 100
    assert rest(calm, RULE, None, 101, awake=True).since is None
    woken = rest(rest(calm, RULE, total(), 102, awake=False), RULE, total(), 103, awake=True)
    assert woken.since == 103


def test_routers_that_do_not_agree_in_time_are_asked_again_later() -> None:
    idle = Rest(since=0, idle=100, seen=True)
    assert not is_settled(idle, 102)
    assert is_settled(idle, 103)
    assert rest(idle, RULE, total(), 110, awake=True) == idle
    late = rest(idle, RULE, total(), 111, awake=True)
    assert late.idle is None
    assert not is_due(late, RULE, 170)
    assert is_due(late, RULE, 171)
    assert rest(idle, RULE, total(1), 105, awake=True).idle is None


def test_who_gives_way_rests_for_no_longer_than_a_peak_is_held() -> None:
    calm = rest(rest(Rest(), RULE, total(1), 0, awake=True), RULE, total(), 31, awake=True)
    assert is_due(calm, replace(RULE, gives_way=True), 31)


def test_unused_is_what_every_ready_pod_says_so_of() -> None:
    nothing, something = PodLoad(), PodLoad(queued=1)
    assert unused(total(pods={"a": nothing, "b": nothing}), {"a"})
    assert not unused(total(pods={"a": nothing}), {"a", "b"})
    assert not unused(total(pods={"a": something}), {"a"})
    assert not unused(total(pods={"a": nothing}, held=1), {"a"})
    assert not unused(total(), set())
    assert unused(total(), set(), refused=True)
    assert not unused(total(held=1), set(), refused=True)


def test_every_router_with_a_pod_must_hold_and_be_heard() -> None:
    routers = Routers(needed={"r1", "r2"}, heard={"r1", "r2"})
    assert all_hold(routers, total(holding=["r1", "r2"]))
    assert not all_hold(routers, total(holding=["r1"]))
    silent = replace(routers, heard={"r1"})
    assert not all_listen(silent)
    assert not all_hold(silent, total(holding=["r1", "r2"]))
    unknown = replace(routers, heard={"r1", "r2", "r3"})
    assert not all_hold(unknown, total(holding=["r1", "r2"]))


MOST = 1_000_000_000
"""Requests that a pod can tell."""


def test_a_pod_costs_its_requests() -> None:
    pods = {"a": PodLoad(in_flight=1, queued=2), "b": PodLoad(), "c": PodLoad(in_flight=MOST, queued=MOST)}
    assert deletion_costs(total(pods=pods)) == {"a": 3, "b": 0, "c": 2 * MOST}
    assert 2 * MOST < 1 << 31, "an int32, says Kubernetes"
