"""The filters through which the agent decides on single requests, and the routes' words that switch them on. Pure.

One is for limits, the other holds requests until there is a pod. They are disabled in the listener, so that requests
that need no decision neither call the agent nor pay for a filter. A tenant's initial routes enable them; they stand
behind the filters that find the model, and take what the route says of them from the route that was chosen after them:
a model's route can override what the initial route asked for.

One gRPC stream (external_processor.proto) is one request. It carries one message with the request's headers. Where the
route tracks requests it stays open until the answer has ended, whichever way, so that open streams are running
requests; an answer with trailers is then one message more, and its chunks are none.
"""

from enum import StrEnum
from typing import Any, Final

from shimmy_api.headers import KEY_ID, REQUEST_ID, WAIT
from shimmy_router.xds.filters import ROUTE, overwrite, typed

EXT_PROC_FILTER: Final = "shimmy.ext_proc"
HOLD_FILTER: Final = "shimmy.hold"
"""The same again, for requests that wait until there is a pod: many may come at once, and each waits anyway."""
CALLS_CLUSTER: Final = "shimmy-agent-calls"
"""The agent again, on connections of its own: open requests must not use up what xDS needs."""
MAX_CALLS: Final = 10_000
"""Requests that may be with the agent at a time; more fail as if it were away. Each that is tracked holds 25 KiB of the
agent's memory."""
MESSAGE_TIMEOUT_SECONDS: Final = 0.5
"""Within which the agent answers a message, or asks for more time. Past it, it counts as away."""
HOLD_MESSAGE_TIMEOUT_SECONDS: Final = 10.0
"""The same for requests that wait. A thousand at once take the agent more than a second."""
MAX_HOLD_SECONDS: Final = 3600
"""The longest time that the agent may ask for."""
_ERROR_STATUS: Final = 511
AWAY_STATUSES: Final = (_ERROR_STATUS, 504)
"""Of Envoy's own answers without a response flag where a decision is needed and the agent is away, or does not answer
in time. Nothing else answers so; the listener makes them a 503."""

TENANT_METADATA: Final = "x-shimmy-tenant"
"""gRPC metadata of a call: the tenant, as its route table says it."""
HOLD_METADATA: Final = "x-shimmy-hold"
"""The cluster for whose pods the request has to wait if there are none."""
STAND_IN_METADATA: Final = "x-shimmy-stand-in"
"""Given where another model answers while there are none: then nothing waits."""

LIMITS_NAMESPACE: Final = "shimmy.limits"
"""Dynamic metadata that the agent answers with."""
LIMIT_HEADERS: Final = (
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""OpenAI's: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers"""

_READ: Final = (REQUEST_ID, KEY_ID, ROUTE)
"""All that the agent sees of a request's headers: no credential, and little to parse."""


class Need(StrEnum):
    """What a route with limits wants of the agent."""

    COUNT = "count"
    """To be asked once; requests go on while the agent is away or slow."""
    TRACK = "track"
    """The same, and to know when the answer has ended. An answer that runs when the agent goes away runs on."""


def ext_proc_filters() -> list[dict[str, Any]]:
    """Both, as they stand in the listener: the limits' comes first, so that nothing waits that is refused."""
    # Without an override by its route the second one asks nothing.
    return [
        _filter(EXT_PROC_FILTER, MESSAGE_TIMEOUT_SECONDS, _mode(track=False)),
        _filter(HOLD_FILTER, HOLD_MESSAGE_TIMEOUT_SECONDS, _mode(track=False) | {"request_header_mode": "SKIP"}),
    ]


def _filter(name: str, message_timeout: float, mode: dict[str, Any]) -> dict[str, Any]:
    config = typed(
        "extensions.filters.http.ext_proc.v3.ExternalProcessor",
        # Without a limit: where requests are tracked, a call lasts as long as the answer.
        grpc_service={"envoy_grpc": {"cluster_name": CALLS_CLUSTER}, "timeout": "0s"},
        failure_mode_allow=False,
        status_on_error={"code": _ERROR_STATUS},
        message_timeout=f"{message_timeout}s",
        max_message_timeout=f"{MAX_HOLD_SECONDS}s",
        processing_mode=mode,
        forward_rules={"allowed_headers": {"patterns": [{"exact": name} for name in _READ]}},
        metadata_options={"receiving_namespaces": {"untyped": [LIMITS_NAMESPACE]}},
        stat_prefix="shimmy",
    )
    return {"name": name, "disabled": True, "typed_config": config}


def enabled(tenant: str, need: Need, token: str = "") -> dict[str, Any]:
    """typed_per_filter_config of a route whose requests the agent decides on.

    `token` is the name of the tokens with which they come; requests with a key say its id themselves.
    """
    metadata = {TENANT_METADATA: tenant} | ({KEY_ID: token} if token else {})
    return {EXT_PROC_FILTER: _override(metadata, _mode(track=need is Need.TRACK), open_without=True)}


def holding(tenant: str, cluster: str, *, stands_in: bool) -> dict[str, Any]:
    """The same of one whose requests wait until the cluster has a pod.

    With `stands_in` another model answers while there is none.
    """
    metadata = {TENANT_METADATA: tenant, HOLD_METADATA: cluster}
    if stands_in:
        metadata[STAND_IN_METADATA] = "true"
    return {HOLD_FILTER: _override(metadata, _mode(track=False), open_without=stands_in)}


def may_hold() -> dict[str, Any]:
    """typed_per_filter_config of a virtual host some of whose routes hold."""
    return {HOLD_FILTER: typed("config.route.v3.FilterConfig", config={})}


def _override(metadata: dict[str, str], mode: dict[str, Any], *, open_without: bool) -> dict[str, Any]:
    """`open_without`: requests go on while the agent is away."""
    return typed(
        "extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
        overrides={
            "processing_mode": mode,
            "failure_mode_allow": open_without,
            "grpc_initial_metadata": [{"key": key, "value": value} for key, value in metadata.items()],
        },
    )


def present() -> dict[str, Any]:
    """typed_per_filter_config of an initial route that does not know yet whether the agent decides, or holds."""
    return {EXT_PROC_FILTER: typed("config.route.v3.FilterConfig", config={}), **may_hold()}


def disabled() -> dict[str, Any]:
    """typed_per_filter_config of a model's route that needs no decision, though the initial route asked for one."""
    return {EXT_PROC_FILTER: typed("extensions.filters.http.ext_proc.v3.ExtProcPerRoute", disabled=True)}


def switched_off() -> dict[str, Any]:
    """typed_per_filter_config of an initial route that wants no decision, in a virtual host that does."""
    return {EXT_PROC_FILTER: typed("config.route.v3.FilterConfig", disabled=True)}


def limit_headers() -> list[dict[str, Any]]:
    """response_headers_to_add of a tenant with limits: what the agent said of them, and nothing where it did not."""
    return [_said(name) for name in LIMIT_HEADERS]


def wait_header() -> dict[str, Any]:
    """The one of response_headers_to_add that says how long the agent held the request."""
    return _said(WAIT)


def _said(header: str) -> dict[str, Any]:
    return overwrite(header, f"%DYNAMIC_METADATA({LIMITS_NAMESPACE}:{header})%")


def _mode(*, track: bool) -> dict[str, Any]:
    return {
        "request_header_mode": "SEND",
        "response_header_mode": "SKIP",
        "request_body_mode": "NONE",
        "response_body_mode": "NONE",
        "request_trailer_mode": "SKIP",
        # Envoy keeps the stream open for trailers that may come.
        "response_trailer_mode": "SEND" if track else "SKIP",
    }
