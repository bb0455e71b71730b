"""A tenant's routes: the RouteConfiguration that the scopes of all its keys name."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from envoy.config.route.v3 import route_pb2

from shimmy_api import errors, headers
from shimmy_api.fallback import Trigger
from shimmy_api.release import release
from shimmy_router.fleet import DEFAULT_RETRIES, Model, Substitute, Tenant
from shimmy_router.limits.answers import token_headers
from shimmy_router.limits.tokens import Verdict
from shimmy_router.policies import need_of
from shimmy_router.xds import ext_proc, filters, lists, paths
from shimmy_router.xds.fallback import BACK_OFF, aggregate_name, another_host, chain_of
from shimmy_router.xds.fallback import retry_policy as fallback_retries
from shimmy_router.xds.filters import add, overwrite, typed
from shimmy_router.xds.messages import parse
from shimmy_router.xds.resources import Resource
from shimmy_router.xds.tables import Table

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
"""Longest request. Envoy holds the body in memory until it knows the model."""
_LATE_SECONDS: Final = 5
"""What a runner has, when a request's time is over, to end it in the words of its API and to say what was used. Envoy
would only break it off."""
_OLLAMA: Final = "Ollama is running"
"""By which clients know an Ollama."""
_TYPE: Final = "content-type"
_JSON: Final = "application/json"
_OTHER_METHODS: Final = ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
"""That no path takes. What is left is GET and HEAD."""
_MAX_DIRECT_BYTES: Final = 1024 * 1024
"""Longest list of models; Envoy's own bound is 4096 bytes."""


def routes(tenant: Tenant, table: Table, verdict: Verdict | None = None) -> Resource:
    """The RouteConfiguration of one of the tenant's tables; with a verdict, one that refuses requests for now."""
    by_model = {model.name: _action(_model_route(tenant, model, verdict)) for model in table.models}
    # The filter takes Ollama's default tag off.
    actions = {name: by_model[model.name] for name, model in lists.by_request(table.models).items()}
    if not actions:  # Envoy refuses a matcher without a value
        actions[filters.NO_MODEL] = _action(_nothing(tenant, {"prefix": "/"}, filters.NO_ROUTE))
    host = {
        "name": "all",
        "domains": ["*"],
        "request_body_buffer_limit": MAX_BODY_BYTES,
        "request_headers_to_add": _tenant_headers(tenant, table),
        **_limits(tenant, table),
        "retry_policy": _retry_policy(),
        "include_request_attempt_count": True,
        "matcher": {
            "matcher_tree": _by_header(filters.ROUTE, actions),
            "on_no_match": {"matcher": _unnamed(tenant, table, verdict)},
        },
    }
    configuration = {
        "name": table.name,
        "virtual_hosts": [host],
        "request_headers_to_remove": ["authorization", "x-api-key", filters.KEY, filters.SUBJECT, filters.ROUTE],
        "max_direct_response_body_size_bytes": _MAX_DIRECT_BYTES,
    }
    return Resource.of(table.name, parse(configuration, route_pb2.RouteConfiguration))


def _limits(tenant: Tenant, table: Table) -> dict[str, Any]:
    """Of a tenant whose requests the agent counts."""
    if (need := need_of(tenant)) is None:
        # A request with a token comes with the filter from the table of the unknown: tokens.py.
        return {"typed_per_filter_config": ext_proc.disabled() if table.token else _holds(table)}
    return {
        "typed_per_filter_config": ext_proc.enabled(tenant.name, need, table.token) | _holds(table),
        "response_headers_to_add": ext_proc.limit_headers(),
    }


def _holds(table: Table) -> dict[str, Any]:
    return ext_proc.may_hold() if any(model.asleep for model in table.models) else {}


def _unnamed(tenant: Tenant, table: Table, verdict: Verdict | None) -> dict[str, Any]:
    """For a request whose model is not known, or not yet: reached before the filter, and again if it found none."""
    used = verdict if not any(stands_in(model) for model in table.models) else None
    posts = [_pending(tenant, used, {"path": path}, by) for method, path, by in pending() if method == "POST"]
    others = [_pending(tenant, used, only(method, path), by) for method, path, by in pending() if method != "POST"]
    uncounted = {"typed_per_filter_config": ext_proc.switched_off()}
    nothing = _nothing(tenant, {"prefix": "/"}, filters.NO_PATH) | uncounted
    lists = [
        _direct(tenant, {"path": path}, 200, body, [overwrite(_TYPE, kind)]) | uncounted
        for path, body, kind in _lists(table)
    ]

    def one_of(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return _action(typed("config.route.v3.RouteList", routes=_for_subjects(tenant, table, [*found, nothing])))

    by_method = {"POST": one_of(posts)} | dict.fromkeys(_OTHER_METHODS, one_of([]))
    # A WebSocket begins with GET, over HTTP/2 too: Envoy makes that of its CONNECT.
    return {"matcher_tree": _by_header(":method", by_method), "on_no_match": one_of([*others, *lists])}


def _by_header(name: str, actions: dict[str, Any]) -> dict[str, Any]:
    header = typed("type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)
    return {"input": {"name": name, "typed_config": header}, "exact_match_map": {"map": actions}}


def _for_subjects(tenant: Tenant, table: Table, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The routes; those that tokens lead to say to lua/token.lua whom they are for. Keys need no check."""
    subjects = {subject: True for token in tenant.tokens if token.name == table.token for subject in token.subjects}
    said = {filters.TOKEN_FILTER: {"subjects": subjects}} if subjects else {}
    return [route | {"metadata": {"filter_metadata": route["metadata"]["filter_metadata"] | said}} for route in found]


def pending() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Methods and paths of requests whose model is to be found, and the typed_per_filter_config that finds it."""
    for path in paths.API_PATHS:
        yield "POST", path, filters.reads_body()
    yield "GET", paths.SOCKET_PATH, filters.reads_query()


def only(method: str, path: str) -> dict[str, Any]:
    """What matches requests with this method and path."""
    return {"path": path, "headers": [{"name": ":method", "string_match": {"exact": method}}]}


def _pending(
    tenant: Tenant, verdict: Verdict | None, match: dict[str, Any], found_by: dict[str, Any]
) -> dict[str, Any]:
    """A route of requests whose model is to be found."""
    if verdict:
        return used_up(tenant, verdict, match)
    return _nothing(tenant, match, filters.NO_ROUTE) | {"typed_per_filter_config": found_by}


def _lists(table: Table) -> Iterator[tuple[str, str, str]]:
    """Paths, bodies and their type."""
    answers = {
        paths.MODELS_PATH: lists.models(table.models),
        paths.OLLAMA_TAGS: lists.ollama_tags(table.models),
        paths.OLLAMA_RUNNING: lists.ollama_running(table.models),
        paths.OLLAMA_VERSION: {"version": release()},
        paths.SHIMMY_MODELS: lists.shimmy_models(table.models),
    }
    answers |= {f"{paths.MODELS_PATH}/{name}": lists.model_object(name, m) for name, m in lists.named(table.models)}
    for path, answer in answers.items():
        yield path, lists.dump(answer), _JSON
    yield paths.ROOT, _OLLAMA, "text/plain"


def used_up(tenant: Tenant, verdict: Verdict, match: dict[str, Any] | None = None) -> dict[str, Any]:
    """A route that refuses for the time that the verdict says."""
    refused = _nothing(tenant, match or {"prefix": "/"}, dict(filters.REFUSAL_STATUSES)[errors.TOO_MANY_TOKENS])
    return refused | {
        "response_headers_to_add": [overwrite(name, value) for name, value in token_headers(verdict).items()],
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
    action: dict[str, Any] = {"cluster": model.cluster, **_timeouts(model)}
    own = {headers.MODEL: model.name, headers.ENGINE_TOKEN: model.engine_token}
    if rule := chain_of(model):
        action |= {"cluster": aggregate_name(tenant, model, rule), "retry_policy": fallback_retries(model, rule)}
        own = {headers.ASKED: model.name}  # the others are for the cluster to say
    elif model.first_byte_seconds or model.retries != DEFAULT_RETRIES:
        action["retry_policy"] = _retry_policy(model.retries, model.first_byte_seconds)
    return {
        "match": {"prefix": "/"},
        "metadata": _metadata(tenant, model.name),
        "route": action,
        "request_headers_to_add": [add(header, value) for header, value in own.items() if value],
        **_holding(tenant, model),
    }


def _holding(tenant: Tenant, model: Model) -> dict[str, Any]:
    """Of a model without a pod that will stay: a request may have to wait for one."""
    if not model.asleep:
        return {}
    rule = chain_of(model)
    stands_in = rule is not None and any(step.ready for step in rule.chain)
    return {
        "typed_per_filter_config": ext_proc.holding(tenant.name, model.cluster, stands_in=stands_in),
        "response_headers_to_add": [ext_proc.wait_header()],
    }


def _stand_in_route(tenant: Tenant, model: Model, step: Substitute) -> dict[str, Any]:
    own = {headers.MODEL: step.model, headers.ENGINE_TOKEN: step.engine_token}
    said = {headers.MODEL: step.model, headers.REASON: "used_up"}
    return {
        "match": {"prefix": "/"},
        "metadata": _metadata(tenant, model.name),
        "route": {"cluster": step.cluster, **_timeouts(model)},
        "request_headers_to_add": [add(header, value) for header, value in own.items() if value],
        "response_headers_to_add": [overwrite(header, value) for header, value in said.items()],
    }


def _timeouts(model: Model) -> dict[str, str]:
    """A request may wait for its turn in silence, longer than the listener allows elsewhere."""
    held = model.hold.seconds if model.hold and model.asleep else 0
    seconds = model.timeout_seconds + _LATE_SECONDS
    return {"timeout": f"{seconds}s", "idle_timeout": f"{seconds + held}s"}


def _tenant_headers(tenant: Tenant, table: Table) -> list[dict[str, Any]]:
    """What every request carries to a runner. Priority 0 and weight 1 go without saying: each header costs time."""
    values = {headers.TENANT: tenant.name}
    if tenant.priority:
        values[headers.PRIORITY] = str(tenant.priority)
    if tenant.weight != 1:
        values[headers.WEIGHT] = str(tenant.weight)
    if table.token:
        values[headers.KEY_ID] = table.token
    return [overwrite("te", "trailers"), *(add(header, value) for header, value in values.items())]


def _retry_policy(retries: int = DEFAULT_RETRIES, first_byte_seconds: int | None = None) -> dict[str, Any]:
    """Again, on another pod where there is one: busy (429), draining or moved (503), late, or the pod is gone.

    A pod that goes may have begun, but has answered nothing, and what it has done leaves no trace. Runners count on it
    that an attempt is followed by another one when they send a request to an idle pod: shimmy_engine/callers.py.
    """
    late = {"per_try_timeout": f"{first_byte_seconds}s"} if first_byte_seconds else {}
    return late | {
        "retry_on": "retriable-status-codes,connect-failure,refused-stream,reset",
        "retriable_status_codes": [429, 503],
        "num_retries": retries + headers.MOST_MOVES,
        **another_host(),
        "retry_back_off": BACK_OFF,
    }


def _nothing(tenant: Tenant, match: dict[str, Any], status: int) -> dict[str, Any]:
    """A route that leaves the answer to the listener."""
    return {"match": match, "metadata": _metadata(tenant, ""), "direct_response": {"status": status}}


def _direct(
    tenant: Tenant, match: dict[str, Any], status: int, body: str, extra: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "match": match,
        "metadata": _metadata(tenant, ""),
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "response_headers_to_add": extra,
    }


def _metadata(tenant: Tenant, model: str) -> dict[str, Any]:
    """What the access log says of the request: of our own making, so that metrics have no labels of strangers."""
    values = {filters.META_TENANT: tenant.name, filters.META_MODEL: model}
    return {"filter_metadata": {filters.NAMESPACE: values}}


def _action(message: dict[str, Any]) -> dict[str, Any]:
    config = message if filters.TYPE in message else typed("config.route.v3.Route", **message)
    return {"action": {"name": "route", "typed_config": config}}
