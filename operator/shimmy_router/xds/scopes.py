"""Which credentials lead to a tenant's routes: one scope per form of each key."""

import hashlib
from collections.abc import Iterator
from typing import Final

from envoy.config.route.v3 import scoped_route_pb2

from shimmy_router.fleet import Tenant
from shimmy_router.xds.resources import Resource

_KEY_FORMS: Final = ("{}", "Bearer {}", "bearer {}", "BEARER {}")
"""A key alone (x-api-key), or behind the scheme, whose case does not matter (RFC 9110, section 11.1)."""


def scopes(tenant: Tenant) -> Iterator[Resource]:
    """Which credentials lead to this tenant's routes. A resource's name is a digest, as Envoy may log names."""
    for key in tenant.keys:
        for form in _KEY_FORMS:
            credential = form.format(key.value)
            name = hashlib.sha256(f"{tenant.name} {credential}".encode()).hexdigest()[:32]
            fragment = scoped_route_pb2.ScopedRouteConfiguration.Key.Fragment(string_key=credential)
            scope = scoped_route_pb2.ScopedRouteConfiguration(
                name=name,
                route_configuration_name=tenant.name,
                key=scoped_route_pb2.ScopedRouteConfiguration.Key(fragments=[fragment]),
            )
            yield Resource.of(name, scope, key.expires)
