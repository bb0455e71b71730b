"""The HTTP filters that find out which model a request asks for, and the headers they use.

They are disabled in the listener and enabled by a tenant's route for API paths, so that the body of a request without
a known key is never read.
"""

from typing import Any, Final

TYPE: Final = "@type"
_TYPES: Final = "type.googleapis.com/envoy"

KEY: Final = "x-shimmy-key"
"""The credential as the client sent it, and the scope of the tenant's routes. Never leaves Envoy."""
ROUTE: Final = "x-shimmy-route"
"""The body's `model`, or one of the faults below. Never leaves Envoy."""
INVALID_JSON: Final = "!invalid-json"
NO_MODEL: Final = "!no-model"
"""Faults begin with "!", which no name or alias of a model does."""

NAMESPACE: Final = "shimmy"
"""Of dynamic metadata and of route metadata."""
META_MODEL: Final = "model"
META_TENANT: Final = "tenant"
META_KEY_ID: Final = "key-id"
META_TOKEN: Final = "engine-token"  # noqa: S105 - the name of an entry, of endpoint metadata only

_KEY_ID_REGEX: Final = r"^(?:[A-Za-z]+ )?(sk-shimmy-[a-z0-9]{8})-[A-Za-z0-9_]+$"

JSON_FILTER: Final = "shimmy.json_to_metadata"
KEY_ID_FILTER: Final = "shimmy.header_to_metadata"
HEADER_FILTER: Final = "shimmy.header_mutation"
SELECT_FILTER: Final = "shimmy.set_filter_state"
ON_DEMAND: Final = (KEY_ID_FILTER, JSON_FILTER, HEADER_FILTER, SELECT_FILTER)


def typed(name: str, **fields: Any) -> dict[str, Any]:
    """The message `envoy.NAME` in an Any."""
    return {TYPE: f"{_TYPES}.{name}", **fields}


def overwrite(header: str, value: str) -> dict[str, Any]:
    """A HeaderValueOption that sets a header, whatever was in it."""
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def enabled() -> dict[str, Any]:
    """typed_per_filter_config of a route whose requests pass the filters."""
    return {name: typed("config.route.v3.FilterConfig", config={}) for name in ON_DEMAND}


def filters() -> list[dict[str, Any]]:
    """The filters, disabled, in the order in which a request passes them."""
    return [
        _disabled(KEY_ID_FILTER, _key_id()),
        _disabled(JSON_FILTER, _body_model()),
        _disabled(HEADER_FILTER, _model_header()),
        _disabled(SELECT_FILTER, _select_route()),
    ]


def _disabled(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "disabled": True, "typed_config": config}


def _key_id() -> dict[str, Any]:
    """The public part of the key, for the runner's journal and the access log."""
    rewrite = {"pattern": {"regex": _KEY_ID_REGEX}, "substitution": r"\1"}
    value = {"metadata_namespace": NAMESPACE, "key": META_KEY_ID, "regex_value_rewrite": rewrite}
    rule = {"header": KEY, "on_header_present": value}
    return typed("extensions.filters.http.header_to_metadata.v3.Config", request_rules=[rule])


def _body_model() -> dict[str, Any]:
    place = {"metadata_namespace": NAMESPACE, "key": META_MODEL}
    rule = {
        "selectors": [{"key": "model"}],
        "on_present": place,
        "on_missing": {**place, "value": NO_MODEL},
        "on_error": {**place, "value": INVALID_JSON},
    }
    return typed(
        "extensions.filters.http.json_to_metadata.v3.JsonToMetadata",
        request_rules={
            "rules": [rule],
            # Whatever the client calls it, the body is JSON or it is refused.
            "allow_content_types_regex": {"regex": ".*"},
            "allow_empty_content_type": True,
        },
    )


def _model_header() -> dict[str, Any]:
    """Routes match headers, not metadata."""
    header = overwrite(ROUTE, f"%DYNAMIC_METADATA({NAMESPACE}:{META_MODEL})%")
    return typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": [{"append": header}]},
    )


def _select_route() -> dict[str, Any]:
    """Looks the route up anew, now that the model is known."""
    state = {
        "object_key": f"{NAMESPACE}.{META_MODEL}",
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": f"%REQ({ROUTE})%"}},
    }
    return typed(
        "extensions.filters.http.set_filter_state.v3.Config", clear_route_cache=True, on_request_headers=[state]
    )
