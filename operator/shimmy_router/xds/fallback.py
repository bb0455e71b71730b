"""What stands in for a model that cannot answer: an aggregate cluster, and the retries that lead through it.

Why it is done so: docs/adr/0006-fallback-by-aggregate-cluster.md.
"""

import hashlib
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2

from shimmy_api import headers
from shimmy_api.fallback import Trigger
from shimmy_router.fleet import Fallback, Model, Tenant
from shimmy_router.xds import filters
from shimmy_router.xds.clusters import HTTP_OPTIONS, http2
from shimmy_router.xds.filters import overwrite, typed
from shimmy_router.xds.messages import parse
from shimmy_router.xds.resources import Resource

BACK_OFF: Final = {"base_interval": "0.005s", "max_interval": "0.05s"}


def chain_of(model: Model) -> Fallback | None:
    """The rule that applies to the model now."""
    rule = model.fallback
    return None if rule and not model.ready and Trigger.NO_POD not in rule.when else rule


def aggregate_name(tenant: Tenant, model: Model, fallback: Fallback) -> str:
    """Name of the cluster for this chain."""
    digest = hashlib.sha256(" ".join(step.cluster for step in fallback.chain).encode()).hexdigest()[:8]
    return f"{tenant.name}/{model.name}~{digest}"


def aggregate(tenant: Tenant, model: Model, fallback: Fallback) -> Resource:
    """The model's own cluster, and behind it those of its chain.

    Each try carries the name of the model that it goes to and what that model's engines want to see.
    """
    name = aggregate_name(tenant, model, fallback)
    members = [model.cluster, *(step.cluster for step in fallback.chain)]
    own = {
        headers.MODEL: f"%UPSTREAM_METADATA({filters.NAMESPACE}:{filters.META_MODEL})%",
        headers.ENGINE_TOKEN: f"%UPSTREAM_METADATA({filters.NAMESPACE}:{filters.META_TOKEN})%",
    }
    mutation = typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": [{"append": overwrite(key, value)} for key, value in own.items()]},
    )
    upstream_filters = [
        {"name": "shimmy.header_mutation", "typed_config": mutation},
        {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": typed("extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
        },
    ]
    config = {
        "name": name,
        "connect_timeout": "2s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": typed("extensions.clusters.aggregate.v3.ClusterConfig", clusters=members),
        },
        "typed_extension_protocol_options": {HTTP_OPTIONS: {**http2(), "http_filters": upstream_filters}},
    }
    return Resource.of(name, parse(config, cluster_pb2.Cluster))


def another_host() -> dict[str, Any]:
    """The part of a retry policy that leads to pods that were not tried, where there are any."""
    return {
        "retry_host_predicate": [
            {
                "name": "previous_hosts",
                "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
        # So often Envoy draws lots anew among the pods with equally few requests.
        "host_selection_retry_max_attempts": 20,
    }


def retry_policy(model: Model, fallback: Fallback) -> dict[str, Any]:
    """Retries first on the model's own pods, then once on each cluster of the chain."""
    conditions = ["retriable-status-codes", "connect-failure", "refused-stream"]
    codes = [503]  # draining, or not loaded
    if Trigger.QUEUE_FULL in fallback.when:
        codes.append(429)
    if Trigger.ERROR in fallback.when:
        conditions.append("5xx")
    elif Trigger.TIMEOUT in fallback.when:
        conditions.append("reset")  # Envoy knows no other name for a try that took too long
    policy: dict[str, Any] = {
        "retry_on": ",".join(conditions),
        "retriable_status_codes": codes,
        "num_retries": model.retries + len(fallback.chain),
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": typed(
                "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                update_frequency=model.retries + 1,
            ),
        },
        **another_host(),
        "retry_back_off": BACK_OFF,
    }
    if model.first_byte_seconds:
        policy["per_try_timeout"] = f"{model.first_byte_seconds}s"
    return policy
