from collections.abc import Mapping

import pytest
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from shimmy_router.fleet import Model
from shimmy_router.records import Endpoint
from shimmy_router.xds.endpoints import NO_LOADS, UNREACHABLE, Loads, endpoints, preferred_pods

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
