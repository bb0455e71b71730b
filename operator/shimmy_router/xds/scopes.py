"""Which credentials lead to a tenant's routes.

A scope has two parts, as listener.py builds them: what follows "sk-" in the credential, and whom a token is about. Each
is a constant where the other one counts, so that no token can name an API key, nor the other way round.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from envoy.config.route.v3 import scoped_route_pb2

from shimmy_router.fleet import Tenant
from shimmy_router.xds.filters import NO_KEY, NO_SUBJECT
from shimmy_router.xds.resources import Resource
from shimmy_router.xds.tables import table

_PREFIX: Final = "sk-"
ANONYMOUS: Final = "#anonymous"
"""The table of requests that have no API key, and no token that was checked. No tenant has this name."""


def scopes(tenant: Tenant) -> Iterator[Resource]:
    """Which credentials lead to this tenant's tables."""
    for key in tenant.keys:
        yield _scope(table(tenant, key).name, key.value.removeprefix(_PREFIX), NO_SUBJECT, key.expires)
    for token in tenant.tokens:
        for subject in token.subjects:
            yield _scope(table(tenant, token).name, NO_KEY, subject)


def anonymous_scope() -> Resource:
    """The scope of everybody else's requests."""
    return _scope(ANONYMOUS, NO_KEY, NO_SUBJECT)


def _scope(routes: str, key: str, subject: str, expires: float | None = None) -> Resource:
    """One scope, named by a digest, as Envoy may log names.

    It is one of the credential alone: one that goes from one table to another changes one resource, so that there are
    never two scopes of one key, which Envoy refuses.
    """
    name = hashlib.sha256(f"{key} {subject}".encode()).hexdigest()[:32]
    fragment = scoped_route_pb2.ScopedRouteConfiguration.Key.Fragment
    scope = scoped_route_pb2.ScopedRouteConfiguration(
        name=name,
        route_configuration_name=routes,
        key=scoped_route_pb2.ScopedRouteConfiguration.Key(
            fragments=[fragment(string_key=key), fragment(string_key=subject)]
        ),
    )
    return Resource.of(name, scope, expires)
