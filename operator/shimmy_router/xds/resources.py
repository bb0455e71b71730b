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
EXTENSION: Final = f"{_PREFIX}envoy.config.core.v3.TypedExtensionConfig"

TYPES: Final = (CLUSTER, ENDPOINTS, SCOPE, ROUTES, EXTENSION)
WILDCARD: Final = frozenset({CLUSTER, SCOPE})
"""Types that Envoy subscribes to as a whole; of the others it names each resource that it wants."""

_VERSION_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. Equal content means an equal version, in every process and at every time."""

    name: str
    version: str
    body: any_pb2.Any = field(repr=False)  # routes and scopes hold secrets
    expires: float | None = None
    """When Envoy itself drops it, in seconds since the epoch; never if None."""

    @classmethod
    def of(cls, name: str, message: Message, expires: float | None = None) -> "Resource":
        """The resource with this content."""
        body = any_pb2.Any()
        body.Pack(message, deterministic=True)
        return cls.from_body(name, body, expires)

    @classmethod
    def from_body(cls, name: str, body: any_pb2.Any, expires: float | None = None) -> "Resource":
        """The resource with this packed content."""
        digest = hashlib.sha256(body.value)
        if expires is not None:
            digest.update(f" {milliseconds(expires)}".encode())
        return cls(name, digest.hexdigest()[:16], body, expires)

    @property
    def type_url(self) -> str:
        """Which kind of resource."""
        return str(self.body.type_url)


def milliseconds(seconds: float) -> int:
    """Whole ones, which go to a file and back without a difference."""
    return round(seconds * 1000)


Place = tuple[str, str]
"""Type and name of a resource."""


@dataclass(frozen=True, slots=True)
class Update:
    """What changes in a snapshot."""

    put: tuple[Resource, ...] = ()
    drop: tuple[Place, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


class Snapshot:
    """Everything that Envoy shall know, by type and name. It changes only by `apply`."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources: dict[str, dict[str, Resource]] = {type_url: {} for type_url in TYPES}
        self._digest = 0
        self._ends: dict[Place, float] = {}
        """When those resources end that do."""
        self.apply(Update(tuple(resources)))

    @property
    def resources(self) -> Mapping[str, Mapping[str, Resource]]:
        """All of them."""
        return self._resources

    @property
    def version(self) -> str:
        """Digest of all names and versions, whatever their order."""
        return f"{self._digest:016x}"

    def replaced(self, resources: Iterable[Resource]) -> "Snapshot":
        """The same with these in the place of those of their names; itself where there are none."""
        others = tuple(resources)
        if not others:
            return self
        result = Snapshot(resource for by_name in self._resources.values() for resource in by_name.values())
        result.apply(Update(others))
        return result

    def get(self, type_url: str, name: str) -> Resource | None:
        """One resource, or None where there is none."""
        return self._resources[type_url].get(name)

    def apply(self, update: Update) -> dict[str, set[str]]:
        """Make the change; the names of what differs now, by type."""
        changed: dict[str, set[str]] = {}
        for type_url, name in update.drop:
            if old := self._resources[type_url].pop(name, None):
                self._digest ^= _digest(old)
                self._ends.pop((type_url, name), None)
                changed.setdefault(type_url, set()).add(name)
        for resource in update.put:
            known = self._resources[resource.type_url]
            old = known.get(resource.name)
            if old and old.version == resource.version:
                continue
            if old:
                self._digest ^= _digest(old)
            known[resource.name] = resource
            self._ends.pop((resource.type_url, resource.name), None)
            if resource.expires is not None:
                self._ends[resource.type_url, resource.name] = resource.expires
            self._digest ^= _digest(resource)
            changed.setdefault(resource.type_url, set()).add(resource.name)
        return changed

    def expired(self, now: float) -> Update:
        """The change that drops what has ended."""
        return Update((), tuple(place for place, end in self._ends.items() if end <= now))

    def next_end(self) -> float | None:
        """When the next resource ends, in seconds since the epoch."""
        return min(self._ends.values(), default=None)

    def towards(self, other: "Snapshot") -> Update:
        """The change that makes this snapshot equal to the other."""
        drop = (
            (type_url, name)
            for type_url in TYPES
            for name in self._resources[type_url].keys() - other.resources[type_url].keys()
        )
        return Update(tuple(r for type_url in TYPES for r in other.resources[type_url].values()), tuple(drop))


def _digest(resource: Resource) -> int:
    text = f"{resource.type_url} {resource.name} {resource.version}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=_VERSION_BITS // 8).digest(), "big")
