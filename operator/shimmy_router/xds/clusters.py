"""One EDS cluster per tenant and model, with the ready pods of all instances that serve it."""

from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from shimmy_router.fleet import Model
from shimmy_router.records import Endpoint
from shimmy_router.xds import filters
from shimmy_router.xds.filters import typed
from shimmy_router.xds.messages import parse
from shimmy_router.xds.resources import Resource

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNBOUNDED: Final = 1_000_000
"""The runners bound their queues themselves, and say so to the client; Envoy's breakers would only say 503."""


def cluster(model: Model) -> Resource:
    """The cluster. Its content depends on the names only, so that no change of pods makes Envoy warm it anew."""
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNBOUNDED)
    config: dict[str, Any] = {
        "name": model.cluster,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        # With no pod ready there is no point in trying those that are not.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {HTTP_OPTIONS: http2()},
    }
    return Resource.of(model.cluster, parse(config, cluster_pb2.Cluster))


def http2() -> dict[str, Any]:
    """HTTP/2 without TLS, which carries trailers; a pod whose node is gone is noticed by its silence."""
    keepalive = {"interval": "15s", "timeout": "10s"}
    return typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        common_http_protocol_options={"idle_timeout": "60s"},  # before the runner closes: after 75 s
        explicit_http_config={"http2_protocol_options": {"connection_keepalive": keepalive}},
    )


def endpoints(model: Model) -> Resource:
    """The pods of the cluster."""
    assignment = {
        "cluster_name": model.cluster,
        "endpoints": [{"lb_endpoints": [_endpoint(model, e) for e in model.endpoints]}] if model.endpoints else [],
    }
    return Resource.of(model.cluster, parse(assignment, endpoint_pb2.ClusterLoadAssignment))


def _endpoint(model: Model, endpoint: Endpoint) -> dict[str, Any]:
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    metadata = {filters.META_MODEL: model.name, filters.META_TOKEN: model.engine_token}
    return {
        "endpoint": {"address": address},
        "health_status": "DRAINING" if endpoint.draining else "HEALTHY",
        "load_balancing_weight": endpoint.weight,
        # For requests that may go to one of several models: xds/fallback.py.
        "metadata": {"filter_metadata": {filters.NAMESPACE: metadata}},
    }
