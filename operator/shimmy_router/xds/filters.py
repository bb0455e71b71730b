"""The HTTP filter that finds out which model a request asks for, and the headers it uses.

It is disabled in the listener and enabled by a tenant's route for API paths, so that the body of a request without a
known key is never read.
"""

from importlib.resources import files
from typing import Any, Final

TYPE: Final = "@type"
_TYPES: Final = "type.googleapis.com/envoy"

KEY: Final = "x-shimmy-key"
"""The credential as the client sent it, and the scope of the tenant's routes. Never leaves Envoy."""
ROUTE: Final = "x-shimmy-route"
"""The body's `model`, or one of the faults below; set by lua/model.lua. Never leaves Envoy."""
INVALID_JSON: Final = "!invalid-json"
NO_MODEL: Final = "!no-model"
"""Faults begin with "!", which no name or alias of a model does."""

NAMESPACE: Final = "shimmy"
"""Of route metadata."""
META_MODEL: Final = "model"
META_TENANT: Final = "tenant"
META_TOKEN: Final = "engine-token"  # noqa: S105 - the name of an entry, of endpoint metadata only

NO_ROUTE: Final = 598
NO_PATH: Final = 597
"""Statuses by which a tenant's table says that it has nothing: no such model or none yet, no such path. The listener
makes answers of them; nothing else has them."""

MODEL_FILTER: Final = "shimmy.model"
_SOCKET: Final = "socket"


def typed(name: str, /, **fields: Any) -> dict[str, Any]:
    """The message `envoy.NAME` in an Any."""
    return {TYPE: f"{_TYPES}.{name}", **fields}


def overwrite(header: str, value: str) -> dict[str, Any]:
    """A HeaderValueOption that sets a header, whatever was in it."""
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def add(header: str, value: str) -> dict[str, Any]:
    """The same, at less cost, for one that nobody else sets: clients' x-shimmy-* headers are gone by then."""
    return {"header": {"key": header, "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


def reads_body() -> dict[str, Any]:
    """typed_per_filter_config of a route whose requests name the model in the body."""
    return {MODEL_FILTER: typed("config.route.v3.FilterConfig", config={})}


def reads_query() -> dict[str, Any]:
    """typed_per_filter_config of a route whose requests name the model in the query or a header."""
    return {MODEL_FILTER: typed("extensions.filters.http.lua.v3.LuaPerRoute", name=_SOCKET)}


def filters() -> list[dict[str, Any]]:
    """The filters, disabled, in the order in which a request passes them."""
    return [{"name": MODEL_FILTER, "disabled": True, "typed_config": _model()}]


def _model() -> dict[str, Any]:
    """In Lua, as a parse of the whole body and the filters that turn it into a header cost three times as much."""
    scripts = files("shimmy_router").joinpath("lua")
    model, socket = (scripts.joinpath(name).read_text(encoding="utf-8") for name in ("model.lua", "socket.lua"))
    return typed(
        "extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": model},
        source_codes={_SOCKET: {"inline_string": model + socket}},
    )
