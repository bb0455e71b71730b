"""One EDS cluster per tenant and model, with the pods of all instances that serve it."""

from functools import cache
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2

from shimmy_router.fleet import Model
from shimmy_router.xds.filters import typed
from shimmy_router.xds.messages import parse
from shimmy_router.xds.resources import Resource

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNBOUNDED: Final = 1_000_000
"""The runners bound their queues themselves, and say so to the client; Envoy's breakers would only say 503."""


_LEAST_REQUEST: Final = {
    "name": "envoy.load_balancing_policies.least_request",
    # Among all pods: of two at random, the lesser is often not the least.
    "typed_config": typed(
        "extensions.load_balancing_policies.least_request.v3.LeastRequest", selection_method="FULL_SCAN"
    ),
}
_OUTLIER_DETECTION: Final = {
    "split_external_local_origin_errors": True,
    # A pod that cannot be reached, or drops connections, is left at once, and tried again a moment later.
    "consecutive_local_origin_failure": 1,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 0,
    # One whose engine fails again and again. A single request may well bring an engine down wherever it goes.
    "consecutive_5xx": 3,
    "enforcing_consecutive_5xx": 100,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    # How often Envoy looks whose ejection is over. It does so for all clusters at once: 30 ms for 10,000 of them, in
    # which it takes no change.
    "interval": "5s",
    "base_ejection_time": "1s",
    "max_ejection_time": "30s",
    # A pod that is the only one stays.
    "max_ejection_percent": 50,
}
_ENGINE_FAILED: Final = {
    "http_response_headers_match": {
        "headers": [{"name": ":status", "string_match": {"safe_regex": {"regex": "500|502"}}}]
    }
}
"""What counts against a pod. Not 503: busy, draining, or another model loaded. Not 504: the request's own deadline."""


def cluster(model: Model) -> Resource:
    """The cluster. Its content depends on the names only, so that no change of pods makes Envoy warm it anew."""
    found = cluster_pb2.Cluster()
    found.CopyFrom(_cluster())
    found.name = model.cluster
    return Resource.of(model.cluster, found)


@cache
def _cluster() -> cluster_pb2.Cluster:
    """What all of them have: to make each from JSON would take most of the time of a start."""
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNBOUNDED)
    config: dict[str, Any] = {
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        "connect_timeout": "2s",
        "load_balancing_policy": {"policies": [{"typed_extension_config": _LEAST_REQUEST}]},
        "common_lb_config": {
            # With no pod ready there is no point in trying those that are not.
            "healthy_panic_threshold": {"value": 0},
            # By default Envoy takes changes of health and weight together for a second.
            "update_merge_window": "0s",
        },
        "outlier_detection": _OUTLIER_DETECTION,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {**http2(), "outlier_detection": {"error_matcher": _ENGINE_FAILED}}
        },
    }
    return parse(config, cluster_pb2.Cluster)


def http2() -> dict[str, Any]:
    """HTTP/2 without TLS, which carries trailers; a pod whose node is gone is noticed by its silence."""
    keepalive = {"interval": "15s", "timeout": "10s"}
    return typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        common_http_protocol_options={"idle_timeout": "60s"},  # before the runner closes: after 75 s
        # RFC 8441: WebSockets over HTTP/2.
        explicit_http_config={"http2_protocol_options": {"connection_keepalive": keepalive, "allow_connect": True}},
    )
