"""The HTTP filters that find out who asks and for which model, and the headers they use.

They are disabled in the listener. A tenant's route enables the model's for API paths, so that the body of a request
without a known credential is never read; those for tokens are enabled where nobody is known yet: tokens.py.
"""

from importlib.resources import files
from typing import Any, Final

from shimmy_api import errors

TYPE: Final = "@type"
_TYPES: Final = "type.googleapis.com/envoy"

KEY: Final = "x-shimmy-key"
"""The credential as the client sent it, and NO_KEY for the case that it is no key: the first part of the scope of the
tenant's routes. Never leaves Envoy."""
NO_KEY: Final = "none"
"""What stands for a key where there is none. No key is so short."""
SUBJECT: Final = "x-shimmy-subject"
"""Whom a token is about, set by lua/token.lua: the second part of the scope. Never leaves Envoy."""
NO_SUBJECT: Final = "-"
"""What stands for it where there is no token. Every other subject contains blanks."""
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
REFUSAL_STATUSES: Final = (
    (errors.TOO_MANY_REQUESTS, 596),
    (errors.TOO_MANY_AT_A_TIME, 595),
    (errors.TOO_MANY_TOKENS, 594),
    (errors.MODEL_WAKING, 593),
    (errors.TOO_MANY_HELD, 592),
)
"""The same for what the agent refuses, or a tenant's table in its stead."""

JWT_FILTER: Final = "shimmy.jwt_authn"
TOKEN_FILTER: Final = "shimmy.token"  # noqa: S105 - the name of a filter
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


def filters(config_source: dict[str, Any]) -> list[dict[str, Any]]:
    """The filters, disabled, in the order in which a request passes them."""
    checked = {
        "config_source": config_source,
        "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"],
    }
    return [
        {"name": JWT_FILTER, "disabled": True, "config_discovery": checked},
        {"name": TOKEN_FILTER, "disabled": True, "typed_config": _lua(_script("token.lua"))},
        {"name": MODEL_FILTER, "disabled": True, "typed_config": _model()},
    ]


def _model() -> dict[str, Any]:
    """In Lua, as a parse of the whole body and the filters that turn it into a header cost three times as much."""
    model = _script("model.lua")
    return _lua(model, **{_SOCKET: model + _script("socket.lua")})


def _lua(script: str, **others: str) -> dict[str, Any]:
    """The filter with a script, and others that routes choose by name."""
    return typed(
        "extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": script},
        source_codes={name: {"inline_string": other} for name, other in others.items()},
    )


def _script(name: str) -> str:
    return files("shimmy_router").joinpath("lua", name).read_text(encoding="utf-8")
