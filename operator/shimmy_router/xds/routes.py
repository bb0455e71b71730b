"""A tenant's routes: the RouteConfiguration that the scopes of all its keys name."""

import json
from collections.abc import Iterator
from typing import Any, Final

from envoy.config.route.v3 import route_pb2

from shimmy_api import errors, headers
from shimmy_api.errors import ApiError
from shimmy_api.fallback import Trigger
from shimmy_router.fleet import Model, Substitute, Tenant
from shimmy_router.limits.answers import token_headers
from shimmy_router.limits.tokens import Verdict
from shimmy_router.policies import need_of
from shimmy_router.xds import ext_proc, filters
from shimmy_router.xds.fallback import BACK_OFF, aggregate_name, chain_of
from shimmy_router.xds.fallback import retry_policy as fallback_retries
from shimmy_router.xds.filters import add, overwrite, typed
from shimmy_router.xds.messages import parse
from shimmy_router.xds.resources import Resource

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
"""Longest request. Envoy holds the body in memory until it knows the model."""
API_PATHS: Final = ("/v1/chat/completions", "/v1/completions")
MODELS_PATH: Final = "/v1/models"

_MAX_DIRECT_BYTES: Final = 1024 * 1024
"""Longest list of models; Envoy's own bound is 4096 bytes."""


def routes(tenant: Tenant, verdict: Verdict | None = None) -> Resource:
    """The tenant's RouteConfiguration; with a verdict, the one that refuses its requests for now."""
    known = {name: model for model in tenant.models for name in (model.name, *model.aliases)}
    table: dict[str, Any] = {name: _action(_model_route(tenant, model, verdict)) for name, model in known.items()}
    table[filters.INVALID_JSON] = _action(refusal(tenant, errors.INVALID_JSON))
    table[filters.NO_MODEL] = _action(refusal(tenant, errors.NO_MODEL))
    others = typed("config.route.v3.RouteList", routes=list(_other_routes(tenant, verdict)))
    header = typed("type.matcher.v3.HttpRequestHeaderMatchInput", header_name=filters.ROUTE)
    host = {
        "name": "all",
        "domains": ["*"],
        "request_body_buffer_limit": MAX_BODY_BYTES,
        "request_headers_to_add": _tenant_headers(tenant),
        **_limits(tenant),
        "retry_policy": _retry_policy(),
        "include_request_attempt_count": True,
        "matcher": {
            "matcher_tree": {
                "input": {"name": "model", "typed_config": header},
                "exact_match_map": {"map": table},
            },
            "on_no_match": _action(others),
        },
    }
    configuration = {
        "name": tenant.name,
        "virtual_hosts": [host],
        "request_headers_to_remove": ["authorization", "x-api-key", filters.KEY, filters.ROUTE],
        "max_direct_response_body_size_bytes": _MAX_DIRECT_BYTES,
    }
    return Resource.of(tenant.name, parse(configuration, route_pb2.RouteConfiguration))


def models_body(tenant: Tenant) -> str:
    """OpenAI's list of models: those that the tenant can use, and their aliases."""
    ids = sorted((name, model.owner) for model in tenant.models for name in (model.name, *model.aliases))
    data = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in ids]
    return json.dumps({"object": "list", "data": data}, separators=(",", ":"))


def refusal(tenant: Tenant, error: ApiError, match: dict[str, Any] | None = None) -> dict[str, Any]:
    """A route that answers with an error."""
    extra = [] if error.retry_after is None else [overwrite("retry-after", str(error.retry_after))]
    return _direct(tenant, match or {"prefix": "/"}, error.status, error.body().decode(), extra)


def _limits(tenant: Tenant) -> dict[str, Any]:
    """Of a tenant whose requests the agent counts."""
    if (need := need_of(tenant)) is None:
        return {}
    return {
        "typed_per_filter_config": ext_proc.enabled(tenant.name, need),
        "response_headers_to_add": ext_proc.limit_headers(),
    }


def _other_routes(tenant: Tenant, verdict: Verdict | None) -> Iterator[dict[str, Any]]:
    """For a request whose model is not known, or not yet."""
    asked = {"prefix": "/", "headers": [{"name": filters.ROUTE, "present_match": True}]}
    yield refusal(tenant, errors.MODEL_NOT_FOUND, asked)
    for path in API_PATHS:
        # Reached before the body was read, and again only if the filters could not name a model.
        match = {"path": path, "headers": [_method("POST")]}
        if verdict and not any(stands_in(model) for model in tenant.models):
            yield used_up(tenant, verdict, match)
        else:
            yield {**refusal(tenant, errors.NO_MODEL, match), "typed_per_filter_config": filters.enabled()}
    listing = {"path": MODELS_PATH, "headers": [_method("GET")]}
    uncounted = {"typed_per_filter_config": ext_proc.switched_off()}
    yield {**_direct(tenant, listing, 200, models_body(tenant), []), **uncounted}
    yield {**refusal(tenant, errors.NOT_FOUND), **uncounted}


def _method(name: str) -> dict[str, Any]:
    return {"name": ":method", "string_match": {"exact": name}}


def used_up(tenant: Tenant, verdict: Verdict, match: dict[str, Any] | None = None) -> dict[str, Any]:
    """A route that refuses for the time that the verdict says."""
    extra = [overwrite(name, value) for name, value in token_headers(verdict).items()]
    return {
        **_direct(tenant, match or {"prefix": "/"}, 429, errors.TOO_MANY_TOKENS.body().decode(), extra),
        "typed_per_filter_config": ext_proc.switched_off(),
    }


def stands_in(model: Model) -> Substitute | None:
    """What answers for the model where the tenant's tokens are used up."""
    rule = model.fallback
    if rule is None or Trigger.BUDGET not in rule.when:
        return None
    return next((step for step in rule.chain if step.ready), rule.chain[0])


def _model_route(tenant: Tenant, model: Model, verdict: Verdict | None) -> dict[str, Any]:
    if verdict:
        step = stands_in(model)
        return _stand_in_route(tenant, model, step) if step else used_up(tenant, verdict)
    seconds = f"{model.timeout_seconds}s"
    # A request may wait for its turn in silence, longer than the listener allows elsewhere.
    action: dict[str, Any] = {"cluster": model.cluster, "timeout": seconds, "idle_timeout": seconds}
    own = {headers.MODEL: model.name, headers.ENGINE_TOKEN: model.engine_token}
    if rule := chain_of(model):
        action |= {"cluster": aggregate_name(tenant, model, rule), "retry_policy": fallback_retries(model, rule)}
        own = {headers.ASKED: model.name}  # the others are for the cluster to say
    return {
        "match": {"prefix": "/"},
        "metadata": _metadata(tenant, model.name),
        "route": action,
        "request_headers_to_add": [add(header, value) for header, value in own.items() if value],
    }


def _stand_in_route(tenant: Tenant, model: Model, step: Substitute) -> dict[str, Any]:
    seconds = f"{model.timeout_seconds}s"
    own = {headers.MODEL: step.model, headers.ENGINE_TOKEN: step.engine_token}
    said = {headers.MODEL: step.model, headers.REASON: "used_up"}
    return {
        "match": {"prefix": "/"},
        "metadata": _metadata(tenant, step.model),
        "route": {"cluster": step.cluster, "timeout": seconds, "idle_timeout": seconds},
        "request_headers_to_add": [overwrite(header, value) for header, value in own.items() if value],
        "response_headers_to_add": [overwrite(header, value) for header, value in said.items()],
    }


def _tenant_headers(tenant: Tenant) -> list[dict[str, Any]]:
    """What every request carries to a runner. Priority 0 and weight 1 go without saying: each header costs time."""
    values = {headers.TENANT: tenant.name}
    if tenant.priority:
        values[headers.PRIORITY] = str(tenant.priority)
    if tenant.weight != 1:
        values[headers.WEIGHT] = str(tenant.weight)
    return [overwrite("te", "trailers"), *(add(header, value) for header, value in values.items())]


def _retry_policy() -> dict[str, Any]:
    """Again, on another pod where there is one, if nothing has been done yet: busy (429) or draining (503).

    Twice, as a pod may send a request that waits there to another one, which counts as one.
    """
    return {
        "retry_on": "retriable-status-codes,connect-failure,refused-stream",
        "retriable_status_codes": [429, 503],
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "previous_hosts",
                "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
        "host_selection_retry_max_attempts": 3,
        "retry_back_off": BACK_OFF,
    }


def _direct(
    tenant: Tenant, match: dict[str, Any], status: int, body: str, extra: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "match": match,
        "metadata": _metadata(tenant, ""),
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "response_headers_to_add": [overwrite("content-type", "application/json"), *extra],
    }


def _metadata(tenant: Tenant, model: str) -> dict[str, Any]:
    """What the access log says of the request: of our own making, so that metrics have no labels of strangers."""
    values = {filters.META_TENANT: tenant.name, filters.META_MODEL: model}
    return {"filter_metadata": {filters.NAMESPACE: values}}


def _action(message: dict[str, Any]) -> dict[str, Any]:
    config = message if filters.TYPE in message else typed("config.route.v3.Route", **message)
    return {"action": {"name": "route", "typed_config": config}}
