from collections.abc import Mapping
from dataclasses import replace

import pytest
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from shimmy_router.fleet import Model
from shimmy_router.records import Endpoint
from shimmy_router.xds.endpoints import (
    NO_LOADS,
    UNREACHABLE,
    Loads,
    Slot,
    best_to_load,
    endpoints,
    having_pods,
    preferred_pods,
)

PODS = tuple(Endpoint(f"192.0.2.{number}", 8080) for number in range(1, 5))
MODEL = Model("m", "a", endpoints=PODS, engine_token="token-of-a-0123456789")


def loads(*values: float | None) -> Loads:
    return {(pod.address, pod.port): load for pod, load in zip(PODS, values, strict=False) if load is not None}


def statuses(model: Model, given: Loads) -> Mapping[str, int]:
    assignment = endpoint_pb2.ClusterLoadAssignment()
    assert endpoints(model, given).body.Unpack(assignment)
    found = [host for group in assignment.endpoints for host in group.lb_endpoints]
    return {host.endpoint.address.socket_address.address: host.health_status for host in found}


@pytest.mark.parametrize(
    ("given", "preferred"),
    [
        ((0, 1, 0, 3), (0, 2)),
        ((2, 1, 1, 3), (1, 2)),
        ((1, 1, 1, 1), (0, 1, 2, 3)),
        ((1, None, 2, 3), (0, 1)),
        ((None, None, None, None), (0, 1, 2, 3)),
        ((UNREACHABLE, 5, 7, 7), (1,)),
        ((UNREACHABLE, UNREACHABLE, None, UNREACHABLE), (2,)),
        ((UNREACHABLE,) * 4, (0, 1, 2, 3)),
    ],
    ids=["idle", "least", "equal", "unknown", "nothing known", "one gone", "gone and unknown", "all gone"],
)
def test_the_least_occupied_pods_are_preferred(given: tuple[float | None, ...], preferred: tuple[int, ...]) -> None:
    assert preferred_pods(PODS, loads(*given)) == {PODS[index] for index in preferred}


@pytest.mark.parametrize(
    ("given", "preferred"),
    [
        ((0, 0, 0, 0), (0, 1)),
        ((2, 2, 2, 2), (0, 1)),
        ((1, 0, 0, 0), (1,)),
        ((1, 1, 0, 0), (2, 3)),
        ((0, None, 0, 0), (0, 1, 2, 3)),
        ((UNREACHABLE, UNREACHABLE, 3, 3), (2, 3)),
    ],
    ids=["idle", "busy", "one near", "none near", "unknown", "gone"],
)
def test_of_equally_occupied_pods_those_in_the_routers_zone_come_first(
    given: tuple[float | None, ...], preferred: tuple[int, ...]
) -> None:
    pods = [replace(pod, zone=zone) for pod, zone in zip(PODS, ("z1", "z1", "z2", ""), strict=True)]
    known = loads(*given)
    assert preferred_pods(pods, known, "z1") == {pods[index] for index in preferred}
    assert preferred_pods(pods, known, "") == preferred_pods(pods, known, "z9")


def test_a_weight_is_how_much_a_pod_may_have_beside_the_others() -> None:
    heavy, light = Endpoint("192.0.2.1", 8080, weight=3), Endpoint("192.0.2.2", 8080, weight=1)
    for given, preferred in (((2, 1), {heavy}), ((3, 1), {heavy, light}), ((4, 1), {light}), ((0, 0), {heavy, light})):
        assert preferred_pods((heavy, light), loads(*given)) == preferred


def test_the_others_stay_as_a_last_resort_and_one_that_ends_gets_nothing() -> None:
    ending = Endpoint("192.0.2.9", 8080, draining=True)
    model = Model("m", "a", endpoints=(*PODS[:2], ending))
    assert statuses(model, {**loads(0, 1), ("192.0.2.9", 8080): 0}) == {
        "192.0.2.1": health_check_pb2.HEALTHY,
        "192.0.2.2": health_check_pb2.DEGRADED,
        "192.0.2.9": health_check_pb2.DRAINING,
    }


def test_equal_loads_make_equal_resources() -> None:
    assert endpoints(MODEL, loads(2, 2, 2, 2)).version == endpoints(MODEL, NO_LOADS).version
    assert endpoints(MODEL, loads(0, 1, 1, 1)).version == endpoints(MODEL, loads(3, 5, 4, 9)).version
    assert endpoints(MODEL, loads(0, 1, 1, 1)).version != endpoints(MODEL, NO_LOADS).version


def test_the_loads_of_other_pods_make_no_difference() -> None:
    assert endpoints(MODEL, {("198.51.100.1", 8080): 0}).version == endpoints(MODEL).version


@pytest.mark.parametrize(("models", "having"), [("mnm", (0, 2)), ("n-o", (1,)), ("---", (0, 1, 2)), ("nno", ())])
def test_a_pod_that_says_nothing_of_its_model_has_it(models: str, having: tuple[int, ...]) -> None:
    assert having_pods("m", PODS[:3], slots(models, (0, 0, 0))) == [PODS[index] for index in having]


@pytest.mark.parametrize(
    ("given", "used", "chosen"),
    [
        ((1, 0, 2), (0, 9, 0), 1),
        ((0, 0, 0), (3, 1, 2), 1),
        ((2, 1, 1), (0, 5, 4), 2),
        ((UNREACHABLE, 7, UNREACHABLE), (0, 9, 0), 1),
    ],
    ids=["idle first", "the longest unused", "the least busy", "the others are gone"],
)
def test_a_pod_is_chosen_to_load_what_none_has(given: tuple[float, ...], used: tuple[float, ...], chosen: int) -> None:
    assert best_to_load(PODS[:3], loads(*given), slots("nno", used)) == PODS[chosen]


def test_what_was_loaded_just_now_is_not_given_up_where_another_pod_is_idle() -> None:
    known = {(PODS[0].address, 8080): Slot("n", 100.0, 0.0), (PODS[1].address, 8080): Slot("o", 0.0, 50.0)}
    assert best_to_load(PODS[:2], loads(0, 0), known) == PODS[1]


def test_where_no_pod_says_what_it_has_none_is_chosen() -> None:
    assert best_to_load(PODS, loads(0, 0, 0, 0), {}) is None


def slots(models: str, used: tuple[float, ...]) -> dict[tuple[str, int], Slot]:
    told = zip(PODS, models, used, strict=False)
    return {(pod.address, pod.port): Slot(name, 0.0, since) for pod, name, since in told if name != "-"}
