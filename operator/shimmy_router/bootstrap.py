"""Envoy's bootstrap: everything that does not change while it runs. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shimmy_router.access_log import standard_output
from shimmy_router.listener import AGENT_CLUSTER, STAT_PREFIX, agent_service, listener
from shimmy_router.tls import transport_socket
from shimmy_router.xds.clusters import HTTP_OPTIONS
from shimmy_router.xds.ext_proc import CALLS_CLUSTER, MAX_CALLS
from shimmy_router.xds.filters import typed

CLUSTER: Final = "shimmy-router"
"""Envoy's service cluster: the same in every router."""
LEAVING_IDLE_TIMEOUT: Final = "1s"
"""Of clients' connections, when this Envoy leaves."""
_LEAVING_MONITOR: Final = "envoy.resource_monitors.injected_resource"


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """Where Envoy listens, and where it finds its agent."""

    node: str
    """Name of this Envoy: the pod's."""
    agent_socket: Path
    """The agent's Unix socket."""
    admin_socket: Path
    """Unix socket of Envoy's admin interface, which lets anyone who reaches it read the keys."""
    address: str = "0.0.0.0"  # noqa: S104 - clients come from outside the pod
    port: int | None = 8080
    """Of plain HTTP; none if absent."""
    tls_port: int | None = None
    """Of HTTPS; none if absent."""
    secrets_file: Path = Path("/run/shimmy/secrets.json")
    """Names the certificate of HTTPS: see shimmy_router.tls."""
    leaving_file: Path = Path("/run/shimmy/leaving")
    """Holds 0, and 1 from when this Envoy leaves."""
    access_log: bool = False
    """Whether each request is logged on standard output."""
    max_connections: int = 50_000
    """Open connections of clients; further ones are closed at once."""


def bootstrap(settings: BootstrapSettings) -> dict[str, Any]:
    """The bootstrap, in the JSON form of envoy.config.bootstrap.v3.Bootstrap."""
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [agent_service("0s")],
    }
    eventually = {"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": settings.node, "cluster": CLUSTER},
        "admin": {"address": {"pipe": {"path": str(settings.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": eventually},
        "static_resources": {
            "listeners": _listeners(settings),
            "clusters": [_agent(AGENT_CLUSTER, settings.agent_socket), _agent(CALLS_CLUSTER, settings.agent_socket)],
        },
        # Nothing takes them but the admin interface.
        "stats_flush_on_admin": True,
        # Statistics of every model's cluster would cost more memory than the cluster itself.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _statistics()}}},
        "overload_manager": _overload_manager(settings),
    }


def _overload_manager(settings: BootstrapSettings) -> dict[str, Any]:
    """Bounds the number of connections, and closes idle ones when this Envoy leaves: see shimmy_router.drain."""
    connections = typed(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=settings.max_connections,
    )
    leaving = typed(
        "extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig", filename=str(settings.leaving_file)
    )
    idle = {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": LEAVING_IDLE_TIMEOUT}
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": connections},
            {"name": _LEAVING_MONITOR, "typed_config": leaving},
        ],
        "actions": [
            {
                "name": "envoy.overload_actions.reduce_timeouts",
                "triggers": [{"name": _LEAVING_MONITOR, "threshold": {"value": 1.0}}],
                "typed_config": typed("config.overload.v3.ScaleTimersOverloadActionConfig", timer_scale_factors=[idle]),
            }
        ],
    }


def _listeners(settings: BootstrapSettings) -> list[dict[str, Any]]:
    """Both have the same statistics, access log and routes."""
    loggers = [standard_output()] if settings.access_log else []
    found = []
    if settings.port is not None:
        found.append(listener(settings.address, settings.port, access_loggers=loggers))
    if settings.tls_port is not None:
        socket = transport_socket(settings.secrets_file)
        found.append(listener(settings.address, settings.tls_port, transport_socket=socket, access_loggers=loggers))
    return found


def _statistics() -> list[dict[str, str]]:
    prefixes = (f"http.{STAT_PREFIX}.", "server.", "listener_manager.", "cluster_manager.", "control_plane.", "sds.")
    return [{"prefix": prefix} for prefix in prefixes]


def _agent(name: str, socket: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    options = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}}
    )
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
        "circuit_breakers": {"thresholds": [{"max_requests": MAX_CALLS}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
