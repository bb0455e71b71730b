"""Envoy's listener: what happens to every request before and after its tenant's routes. Pure, and never changes."""

from collections.abc import Sequence
from typing import Any, Final

from shimmy_api import headers
from shimmy_router.entries import entry_logger
from shimmy_router.replies import local_replies
from shimmy_router.xds import filters
from shimmy_router.xds.ext_proc import ext_proc_filters
from shimmy_router.xds.filters import overwrite, typed

AGENT_CLUSTER: Final = "shimmy-agent"
LISTENER: Final = "shimmy"
TLS_LISTENER: Final = "shimmy-tls"
STAT_PREFIX: Final = "shimmy"
READY_PATH: Final = "/readyz"
"""Answered by Envoy itself: 200 once it has its first snapshot, 503 while it drains."""

_ADS: Final = {
    "ads": {},
    "resource_api_version": "V3",
    # Until the agent has told what is allowed, Envoy does not listen; a 401 in that time would be a lie.
    "initial_fetch_timeout": "0s",
}


def listener(
    address: str,
    port: int,
    *,
    transport_socket: dict[str, Any] | None = None,
    access_loggers: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The listener on this address, with TLS if a transport socket for it is given."""
    configuration = _connection_manager(access_loggers)
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": configuration}
    chain: dict[str, Any] = {"filters": [manager]}
    if transport_socket:
        chain |= {"transport_socket": transport_socket, "transport_socket_connect_timeout": "10s"}
    return {
        "name": TLS_LISTENER if transport_socket else LISTENER,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [chain],
    }


def _connection_manager(access_loggers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=STAT_PREFIX,
        early_header_mutation_extensions=[_early_mutation()],
        # A client is where its connection comes from: by now nothing says anything else, and pods are told nothing.
        use_remote_address=False,
        always_set_request_id_in_response=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        server_name="shimmy",
        request_headers_timeout="10s",
        request_timeout="60s",
        stream_idle_timeout="300s",
        drain_timeout="5s",
        common_http_protocol_options={"idle_timeout": "900s", "headers_with_underscores_action": "DROP_HEADER"},
        http2_protocol_options={"max_concurrent_streams": 1000},
        access_log=[entry_logger(agent_service("5s")), *access_loggers],
        upgrade_configs=[{"upgrade_type": "websocket"}],
        local_reply_config=local_replies(),
        http_filters=[_health_check(), *filters.filters(_ADS), *ext_proc_filters(), _router()],
        scoped_routes={
            "name": "tenants",
            "scope_key_builder": {"fragments": _scope_fragments()},
            "rds_config_source": _ADS,
            "scoped_rds": {"scoped_rds_config_source": _ADS},
        },
    )


def _scope_fragments() -> list[dict[str, Any]]:
    """How a request's scope is put together.

    A key is the first word of the credential that begins with "sk-", whatever stands before it (RFC 9110, section 11.1:
    the scheme's case does not matter); where there is none, filters.NO_KEY comes behind.
    """
    word = {"element_separator": " ", "element": {"separator": "-", "key": "sk"}}
    return [
        {"header_value_extractor": {"name": filters.KEY, **word}},
        {"header_value_extractor": {"name": filters.SUBJECT, "index": 0}},
    ]


def _early_mutation() -> dict[str, Any]:
    """What strangers must not say is removed before anything reads it; then the credential becomes the scope."""
    mutations: list[dict[str, Any]] = [
        {"remove_on_match": {"key_matcher": {"prefix": prefix}}}
        # Envoy obeys x-envoy-* (timeouts, retries) from addresses that it takes for internal: any pod's.
        for prefix in (headers.PREFIX, "x-envoy-", "x-forwarded-")
    ]
    mutations.append({"remove": headers.REQUEST_ID})
    mutations.append({"append": overwrite(filters.KEY, f"%REQ(authorization?x-api-key)% sk-{filters.NO_KEY}")})
    mutations.append({"append": overwrite(filters.SUBJECT, filters.NO_SUBJECT)})
    return {
        "name": "shimmy.early_header_mutation",
        "typed_config": typed(
            "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=mutations
        ),
    }


def _health_check() -> dict[str, Any]:
    path = {"name": ":path", "string_match": {"exact": READY_PATH}}
    return {
        "name": "shimmy.health_check",
        "typed_config": typed(
            "extensions.filters.http.health_check.v3.HealthCheck", pass_through_mode=False, headers=[path]
        ),
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
    }


def agent_service(timeout: str) -> dict[str, Any]:
    """A gRPC service of the agent. While it is away, Envoy tries again at least every second."""
    backoff = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}
    return {"envoy_grpc": {"cluster_name": AGENT_CLUSTER, "retry_policy": backoff}, "timeout": timeout}
