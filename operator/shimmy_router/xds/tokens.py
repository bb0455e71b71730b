"""How tokens (JWT) are checked: the filter's configuration, and the routes of requests that nobody is known of yet.

A request whose credential looks like a token has no scope of its own. It begins in the table of the unknown, whose
routes enable jwt_authn and lua/token.lua; that says whom the token is about, by which Envoy selects the tenant's
table. Requests with a key meet neither filter. Why it is done so: docs/adr/0010-tokens-begin-as-unknown.md.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_pb2

from shimmy_api import errors
from shimmy_router.fleet import Token
from shimmy_router.xds import ext_proc
from shimmy_router.xds.filters import JWT_FILTER, NAMESPACE, TOKEN_FILTER, typed
from shimmy_router.xds.messages import parse
from shimmy_router.xds.resources import Resource
from shimmy_router.xds.routes import MAX_BODY_BYTES, only, pending
from shimmy_router.xds.scopes import ANONYMOUS, anonymous_scope

_CLOCK_SKEW_SECONDS: Final = 10
"""Envoy's own bound is a minute; clocks in a cluster agree better than that."""
_CACHED_TOKENS: Final = 1000
"""Per issuer and worker of Envoy: a signature is checked once, the times of a token always."""
_LOOKS_LIKE_TOKEN: Final = {"name": "authorization", "string_match": {"prefix": "Bearer ey"}}
"""A token begins with a JSON object, {"… in base64url (RFC 7515)."""


def resources(tokens: Iterable[Token]) -> tuple[Resource, ...]:
    """What all tenants' tokens need together; of one issuer they have the same keys and claim."""
    found = sorted(tokens, key=lambda token: token.issuer)
    return (_check(found), _unknown(tokens=bool(found)), anonymous_scope())


def _check(tokens: Iterable[Token]) -> Resource:
    """The filter's configuration. Without an issuer it lets everything pass, and lua/token.lua nothing."""
    issuers = {token.issuer: token for token in tokens}
    providers = {hashlib.sha256(name.encode()).hexdigest()[:12]: _provider(one) for name, one in issuers.items()}
    requirements = [{"provider_name": name} for name in providers]
    rules = [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": requirements}}}]
    if len(requirements) == 1:
        rules = [{"match": {"prefix": "/"}, "requires": requirements[0]}]  # Envoy wants two for "any"
    config = typed(
        "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers=providers,
        rules=rules if providers else [],
        strip_failure_response=True,
    )
    extension = {"name": JWT_FILTER, "typed_config": config}
    return Resource.of(JWT_FILTER, parse(extension, extension_pb2.TypedExtensionConfig))


def _provider(token: Token) -> dict[str, Any]:
    """How tokens of this one's issuer are checked. Which audiences count is for the scopes to say."""
    return {
        "issuer": token.issuer,
        "local_jwks": {"inline_string": token.jwks},
        "require_expiration": True,
        "clock_skew_seconds": _CLOCK_SKEW_SECONDS,
        "forward": True,  # so that a refusal can tell a bad token from none; the tenant's routes remove it
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        # Under the name of the claim that lua/token.lua shall read.
        "payload_in_metadata": token.claim,
        "jwt_cache_config": {"jwt_cache_size": _CACHED_TOKENS},
    }


def _unknown(*, tokens: bool) -> Resource:
    """The routes of requests without a key that is known."""
    refused = {
        "direct_response": {"status": errors.INVALID_KEY.status},
        "metadata": {"filter_metadata": {NAMESPACE: {}}},
    }
    routes: list[dict[str, Any]] = []
    if tokens:
        for method, path, found_by in pending():
            match = only(method, path)
            match["headers"].append(_LOOKS_LIKE_TOKEN)
            filters = {**_checks(), **found_by, **ext_proc.present()}
            routes.append({"match": match, **refused, "typed_per_filter_config": filters})
        any_path = {"prefix": "/", "headers": [_LOOKS_LIKE_TOKEN]}
        routes.append({"match": any_path, **refused, "typed_per_filter_config": _checks()})
    routes.append({"match": {"prefix": "/"}, **refused})
    host = {"name": "all", "domains": ["*"], "request_body_buffer_limit": MAX_BODY_BYTES, "routes": routes}
    configuration = {"name": ANONYMOUS, "virtual_hosts": [host]}
    return Resource.of(ANONYMOUS, parse(configuration, route_pb2.RouteConfiguration))


def _checks() -> dict[str, Any]:
    return {name: typed("config.route.v3.FilterConfig", config={}) for name in (JWT_FILTER, TOKEN_FILTER)}
