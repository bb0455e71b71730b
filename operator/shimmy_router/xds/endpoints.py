"""The pods of a model's cluster, and which of them are to be preferred now. Pure.

The least occupied pods are HEALTHY and the others DEGRADED: Envoy sends to degraded hosts only where no healthy one is
left (docs/root/intro/arch_overview/upstream/load_balancing/degraded), and changes the status of a host in place, which
keeps its connections; in another priority it would be another host. Inside the preferred ones Envoy's own least
request decides, which knows what this Envoy has sent since the pods were asked.
"""

import math
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from envoy.config.core.v3 import address_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from shimmy_router.fleet import Model
from shimmy_router.records import Endpoint
from shimmy_router.xds import filters
from shimmy_router.xds.resources import Resource

Address = tuple[str, int]
"""IP address and port of a pod."""
Loads = Mapping[Address, float]
"""Requests that each pod has, running and waiting; infinite for one that does not answer. Absent where unknown."""


class Slot(NamedTuple):
    """What a pod that several models share tells of itself."""

    model: str
    """Which one it has, or is loading."""
    swapped: float
    """When that changed last, in seconds since the epoch; 0 for never."""
    used: float
    """When a request ended last, in the same way."""


Slots = Mapping[Address, Slot]
"""Of the pods that several models share."""

UNREACHABLE: Final = math.inf
NO_LOADS: Final[Loads] = {}

_OVERPROVISIONING: Final = 1_000_000
"""In percent. By default Envoy mixes degraded hosts in when less than 1/1.4 of all are healthy; so one in 10,000 is
enough (docs/root/intro/arch_overview/upstream/load_balancing/priority)."""


def endpoints(
    model: Model, loads: Loads = NO_LOADS, fitting: Collection[Endpoint] | None = None, zone: str = ""
) -> Resource:
    """The pods of the cluster; `loads` may know more pods than these, and fewer.

    Of `fitting` ones the preferred are chosen; of all if absent. `zone` is the router's, empty if unknown.
    """
    preferred = preferred_pods(model.endpoints if fitting is None else fitting, loads, zone)
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=model.cluster)
    assignment.policy.overprovisioning_factor.value = _OVERPROVISIONING
    if model.endpoints:
        group = assignment.endpoints.add()
        for endpoint in model.endpoints:
            group.lb_endpoints.append(_endpoint(model, endpoint, preferred))
    return Resource.of(model.cluster, assignment)


def having_pods(model: str, pods: Collection[Endpoint], slots: Slots) -> list[Endpoint]:
    """Those that have the model, or are loading it, for all that is known."""
    return [pod for pod in pods if not pod.draining and slots.get(address(pod), Slot(model, 0, 0)).model == model]


def best_to_load(pods: Collection[Endpoint], loads: Loads, slots: Slots) -> Endpoint | None:
    """The pod that shall load a model that none has, of those that say what they have; None where there is none.

    It is an idle one if there is any, and of several the one that was used or changed the longest ago: what was loaded
    just now stays. Routers that know the same choose the same.
    """

    def rank(pod: Endpoint) -> tuple[float, float, Address]:
        slot = slots[address(pod)]
        return loads.get(address(pod), 0.0), max(slot.swapped, slot.used), address(pod)

    return min((pod for pod in pods if not pod.draining and address(pod) in slots), key=rank, default=None)


def address(pod: Endpoint) -> Address:
    """Where the pod is."""
    return pod.address, pod.port


def preferred_pods(pods: Collection[Endpoint], loads: Loads, zone: str = "") -> frozenset[Endpoint]:
    """Those with the least to do for their weight; of these the ones in the zone, if any are. Of unknown ones, all.

    A pod of weight 2 counts as half as occupied as one of weight 1 with as many requests.
    """
    open_pods = [pod for pod in pods if not pod.draining]
    levels = {pod: loads.get(address(pod)) for pod in open_pods}
    known = [level / pod.weight for pod, level in levels.items() if level is not None]
    least = min(known, default=math.inf)
    if math.isinf(least) and len(known) == len(open_pods):
        return frozenset(open_pods)
    unknown = frozenset(pod for pod, level in levels.items() if level is None)
    idlest = frozenset(
        pod for pod, level in levels.items() if level is not None and level / pod.weight == least < math.inf
    )
    near = frozenset(pod for pod in idlest if zone and pod.zone == zone)
    # How occupied the unknown ones are, only Envoy's own count can tell, and it needs them all for that.
    return near if near and not unknown else unknown | idlest


def _endpoint(model: Model, endpoint: Endpoint, preferred: Collection[Endpoint]) -> endpoint_components_pb2.LbEndpoint:
    status = health_check_pb2.HEALTHY if endpoint in preferred else health_check_pb2.DEGRADED
    found = endpoint_components_pb2.LbEndpoint(health_status=health_check_pb2.DRAINING if endpoint.draining else status)
    found.endpoint.address.socket_address.CopyFrom(
        address_pb2.SocketAddress(address=endpoint.address, port_value=endpoint.port)
    )
    found.load_balancing_weight.value = endpoint.weight
    # For requests that may go to one of several models: xds/fallback.py.
    metadata = found.metadata.filter_metadata[filters.NAMESPACE]
    metadata.update({filters.META_MODEL: model.name, filters.META_TOKEN: model.engine_token})
    return found
