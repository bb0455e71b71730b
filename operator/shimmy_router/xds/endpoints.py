"""The pods of a model's cluster, and which of them are to be preferred now. Pure.

The least occupied pods are HEALTHY and the others DEGRADED: Envoy sends to degraded hosts only where no healthy one is
left (docs/root/intro/arch_overview/upstream/load_balancing/degraded), and changes the status of a host in place, which
keeps its connections; in another priority it would be another host. Inside the preferred ones Envoy's own least
request decides, which knows what this Envoy has sent since the pods were asked.
"""

import math
from collections.abc import Collection, Mapping
from typing import Final

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

UNREACHABLE: Final = math.inf
NO_LOADS: Final[Loads] = {}

_OVERPROVISIONING: Final = 1_000_000
"""In percent. By default Envoy mixes degraded hosts in when less than 1/1.4 of all are healthy; so one in 10,000 is
enough (docs/root/intro/arch_overview/upstream/load_balancing/priority)."""


def endpoints(model: Model, loads: Loads = NO_LOADS) -> Resource:
    """The pods of the cluster; `loads` may know more pods than these, and fewer."""
    preferred = preferred_pods(model.endpoints, loads)
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=model.cluster)
    assignment.policy.overprovisioning_factor.value = _OVERPROVISIONING
    if model.endpoints:
        group = assignment.endpoints.add()
        for endpoint in model.endpoints:
            group.lb_endpoints.append(_endpoint(model, endpoint, preferred))
    return Resource.of(model.cluster, assignment)


def preferred_pods(pods: Collection[Endpoint], loads: Loads) -> frozenset[Endpoint]:
    """Those with the least to do for their weight; of unknown ones, all.

    A pod of weight 2 counts as half as occupied as one of weight 1 with as many requests.
    """
    open_pods = [pod for pod in pods if not pod.draining]
    levels = {pod: loads.get((pod.address, pod.port)) for pod in open_pods}
    known = [level / pod.weight for pod, level in levels.items() if level is not None]
    least = min(known, default=0.0)
    if math.isinf(least) and len(known) == len(open_pods):
        return frozenset(open_pods)
    return frozenset(
        pod for pod, level in levels.items() if level is None or (level / pod.weight == least and not math.isinf(level))
    )


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
