"""Resources as delta xDS carries them: named, typed, and versioned by a digest of their content."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf import any_pb2
from google.protobuf.message import Message

_PREFIX: Final = "type.googleapis.com/"
CLUSTER: Final = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
ENDPOINTS: Final = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
ROUTES: Final = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"
SCOPE: Final = f"{_PREFIX}envoy.config.route.v3.ScopedRouteConfiguration"

TYPES: Final = (CLUSTER, ENDPOINTS, SCOPE, ROUTES)
WILDCARD: Final = frozenset({CLUSTER, SCOPE})
"""Types that Envoy subscribes to as a whole; of the others it names each resource that it wants."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. Equal content means an equal version, in every process and at every time."""

    name: str
    version: str
    body: any_pb2.Any = field(repr=False)  # routes and scopes hold secrets

    @classmethod
    def of(cls, name: str, message: Message) -> "Resource":
        """The resource with this content."""
        body = any_pb2.Any()
        body.Pack(message, deterministic=True)
        return cls.from_body(name, body)

    @classmethod
    def from_body(cls, name: str, body: any_pb2.Any) -> "Resource":
        """The resource with this packed content."""
        return cls(name, hashlib.sha256(body.value).hexdigest()[:16], body)

    @property
    def type_url(self) -> str:
        """Which kind of resource."""
        return str(self.body.type_url)


Resources = Mapping[str, Mapping[str, Resource]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that Envoy shall know, by type and name."""

    resources: Resources
    version: str
    """Digest of all names and versions."""

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Snapshot":
        """The snapshot of these resources."""
        by_type: dict[str, dict[str, Resource]] = {type_url: {} for type_url in TYPES}
        for resource in resources:
            by_type[resource.type_url][resource.name] = resource
        digest = hashlib.sha256()
        for type_url in TYPES:
            for name in sorted(by_type[type_url]):
                digest.update(f"{type_url} {name} {by_type[type_url][name].version}\n".encode())
        return cls(by_type, digest.hexdigest()[:16])

    def get(self, type_url: str, name: str) -> Resource | None:
        """One resource, or None where there is none."""
        return self.resources[type_url].get(name)
