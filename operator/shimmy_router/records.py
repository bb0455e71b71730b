"""What the router keeps of each Kubernetes object, parsed once when the object arrives."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shimmy_api import names
from shimmy_api.access import ApiKey, RequestLimits, TenantLimits, TokenAccess
from shimmy_api.fallback import Fallback
from shimmy_api.instance import ModelState, Routing, ShimmyInstanceSpec, ShimmyInstanceStatus
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.tenant import ShimmyTenantSpec, ShimmyTenantStatus

NO_LIMITS: Final = RequestLimits()
NO_TENANT_LIMITS: Final = TenantLimits()

PEERS: Final = "EndpointSlice of routers"
"""In the place of a kind: EndpointSlices of the routers' own Service are another list than those of models."""

_LABEL_SERVICE: Final = "kubernetes.io/service-name"
"""Set by the EndpointSlice controller (k8s.io/api/discovery/v1, LabelServiceName)."""
_KEY = re.compile(names.KEY_PATTERN)
_KEY_ENTRY: Final = "key."
_JWKS_ENTRY: Final = "jwks."
_ENGINE_TOKEN_ENTRY: Final = "engineToken"  # noqa: S105 - the name of an entry, not a secret
_ISSUER = re.compile(r"https?://\S+")
_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")
"""Printable ASCII without blanks: what fits into a header as it is."""


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A ShimmyTenant."""

    name: str
    created: str
    """metadata.creationTimestamp: RFC 3339 in UTC, which sorts as text."""
    namespace: str
    keys: tuple[ApiKey, ...] = ()
    tokens: tuple[TokenAccess, ...] = ()
    limits: TenantLimits = NO_TENANT_LIMITS
    priority: int = 0
    weight: int = 1
    fallback: Fallback | None = None
    dedicated: bool = False
    """Whether a router of its own serves it, and the shared one does not."""


@dataclass(frozen=True, slots=True)
class KeysRecord:
    """The Secret that mirrors a tenant's keys into the router's namespace."""

    tenant: str
    """Value of the label: the tenant's name, bounded to a label's length."""
    keys: Mapping[str, str]
    """By the name of their entry in the tenant's spec."""
    engine_token: str
    jwks: Mapping[str, str] = field(default_factory=dict)
    """JSON Web Key Sets, by the name of the tenant's entry for such tokens."""

    def __repr__(self) -> str:
        return f"KeysRecord(tenant={self.tenant!r}, {len(self.keys)} keys)"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A ShimmyModel."""

    namespace: str
    name: str
    created: str
    aliases: tuple[str, ...] = ()
    all_tenants: bool = False
    """Whether every tenant may use it."""
    shared_with: tuple[str, ...] = ()
    """Names of tenants that may use it."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How an instance is scaled by load, as far as requests are concerned."""

    hold_seconds: int
    """Longest time that a request is held until a pod is ready."""
    most_held: int
    """Requests for a model that a router holds at most."""
    idle: frozenset[str] = frozenset()
    """Models whose last pod goes when every router asks its agent before it sends a request there."""
    cold_seconds: Mapping[str, int] = field(default_factory=dict)
    """By model, how long it takes to start, nineteen times of twenty; absent where it is not known."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A ShimmyInstance."""

    namespace: str
    name: str
    created: str
    models: tuple[str, ...]
    timeout_seconds: int = Routing().timeout_seconds
    first_byte_seconds: int | None = None
    retries: int = Routing().retries
    weight: int = Routing().weight
    fallback: Fallback | None = None
    queue_depth: int = Routing().queue_depth
    shared: bool = False
    """Whether its models share its pods."""
    scaling: Scaling | None = None
    """None where load does not decide the number of its pods."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One engine pod's address."""

    address: str
    port: int
    draining: bool = False
    """Whether the pod is being deleted: it finishes what it has and gets nothing new."""
    pod: str = ""
    """The pod's name, empty if unknown."""
    zone: str = ""
    """Where its node is, empty if unknown."""
    weight: int = 1
    """Share that it gets beside the model's other pods."""
    instance: str = ""
    """Name of the instance that it belongs to, bounded to a label's length; empty if unknown."""


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """An EndpointSlice of one model's Service."""

    namespace: str
    model: str
    """Value of the label: the model's name, bounded to a label's length."""
    instance: str
    """Value of the label: the instance's name, bounded to a label's length; empty if there is none."""
    endpoints: tuple[Endpoint, ...]
    starting: tuple[Endpoint, ...] = ()
    """Pods that are not ready, and not ending either."""


@dataclass(frozen=True, slots=True)
class PeersRecord:
    """An EndpointSlice of the routers' Service."""

    urls: Mapping[str, str]
    """Base URLs of the routers' metrics ports, by the names of their pods: also of those that are not ready."""
    zones: Mapping[str, str] = field(default_factory=dict)
    """Where their nodes are, by the names of their pods, as far as that is known."""


@dataclass(frozen=True, slots=True)
class IssuerRecord:
    """Who issues the tokens of the cluster's ServiceAccounts."""

    issuer: str
    jwks: str
    """Its public keys, RFC 7517."""


FleetRecord = TenantRecord | KeysRecord | ModelRecord | InstanceRecord | SliceRecord | IssuerRecord
"""What tenants are put together from."""
Record = FleetRecord | PeersRecord
Manifest = Mapping[str, Any]
ObjectKey = tuple[str, str]
"""Namespace (empty where there is none) and name."""


def parse_tenant(manifest: Manifest) -> TenantRecord:
    """A ShimmyTenant; its namespace is the one that the operator reports, else the one that it will make."""
    metadata = manifest["metadata"]
    spec = ShimmyTenantSpec.model_validate(manifest.get("spec") or {})
    status = ShimmyTenantStatus.model_validate(manifest.get("status") or {})
    namespace = status.namespace or spec.namespace or names.tenant_namespace(metadata["name"])
    return TenantRecord(
        name=metadata["name"],
        created=_created(metadata),
        namespace=namespace,
        keys=spec.keys,
        tokens=spec.tokens,
        limits=spec.limits,
        priority=spec.priority,
        weight=spec.weight,
        fallback=spec.fallback,
        dedicated=spec.router == "Dedicated",
    )


def parse_keys(manifest: Manifest) -> KeysRecord | None:
    """A Secret of mirrored keys, or None for any other Secret. Entries that are no keys of ours are left out."""
    tenant = _label(manifest, names.LABEL_KEYS)
    if not tenant or manifest.get("type") != names.SECRET_TYPE_KEYS:
        return None
    entries = _decoded(manifest)
    keys = {name: value for name, value in _named(entries, _KEY_ENTRY) if _KEY.fullmatch(value)}
    jwks = {name: value for name, value in _named(entries, _JWKS_ENTRY) if _is_key_set(value)}
    token = entries.get(_ENGINE_TOKEN_ENTRY, "")
    return KeysRecord(tenant, keys, token if _TOKEN.fullmatch(token) else "", jwks)


def parse_model(manifest: Manifest) -> ModelRecord:
    """A ShimmyModel."""
    metadata = manifest["metadata"]
    spec = ShimmyModelSpec.model_validate(manifest["spec"])
    sharing = spec.shared_with
    return ModelRecord(
        metadata["namespace"],
        metadata["name"],
        _created(metadata),
        spec.aliases,
        all_tenants=sharing.all_tenants,
        shared_with=sharing.tenants,
    )


def parse_instance(manifest: Manifest) -> InstanceRecord:
    """A ShimmyInstance."""
    metadata = manifest["metadata"]
    spec = ShimmyInstanceSpec.model_validate(manifest["spec"])
    routing = spec.routing
    return InstanceRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        created=_created(metadata),
        models=spec.models,
        timeout_seconds=routing.timeout_seconds,
        first_byte_seconds=routing.first_byte_seconds,
        retries=routing.retries,
        weight=routing.weight,
        fallback=routing.fallback,
        queue_depth=routing.queue_depth,
        shared=spec.placement == "Shared",
        scaling=_scaling(spec, manifest),
    )


def _scaling(spec: ShimmyInstanceSpec, manifest: Manifest) -> Scaling | None:
    if spec.autoscaling is None:
        return None
    models = _status(manifest).models
    return Scaling(
        spec.autoscaling.wake.hold_seconds,
        spec.autoscaling.wake.most_held,
        frozenset(model.name for model in models if model.state is ModelState.IDLE),
        {model.name: model.cold_starts.p95_seconds for model in models if model.cold_starts},
    )


def _status(manifest: Manifest) -> ShimmyInstanceStatus:
    """What the operator says of an instance; nothing where a newer one says what is not known here yet."""
    try:
        return ShimmyInstanceStatus.model_validate(manifest.get("status") or {})
    except ValueError:
        return ShimmyInstanceStatus()


def parse_slice(manifest: Manifest) -> SliceRecord | None:
    """An EndpointSlice of a model, or None for any other."""
    model = _label(manifest, names.LABEL_MODEL)
    if not model or manifest.get("addressType") not in {"IPv4", "IPv6"}:
        return None
    ports = [port["port"] for port in manifest.get("ports") or () if port.get("name") == names.ENGINE_PORT_NAME]
    endpoints, starting = set[Endpoint](), set[Endpoint]()
    for endpoint in manifest.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        draining = bool(conditions.get("terminating"))
        zone = str(endpoint.get("zone") or "")
        pods = {
            Endpoint(address, port, draining, _pod(endpoint), zone)
            for address in endpoint.get("addresses") or ()
            for port in ports
        }
        # An unknown `ready` is to be taken as ready, says the API of discovery.k8s.io/v1.
        (starting if conditions.get("ready") is False and not draining else endpoints).update(pods)
    namespace, instance = manifest["metadata"]["namespace"], _label(manifest, names.LABEL_INSTANCE_OF)
    return SliceRecord(namespace, model, instance, tuple(sorted(endpoints)), tuple(sorted(starting)))


def parse_peers(manifest: Manifest) -> PeersRecord | None:
    """An EndpointSlice of the routers' metrics Service, or None for any other."""
    service = _label(manifest, _LABEL_SERVICE)
    if service != names.ROUTER_METRICS_SERVICE or manifest.get("addressType") not in {"IPv4", "IPv6"}:
        return None
    ports = [port["port"] for port in manifest.get("ports") or () if port.get("name") == names.METRICS_PORT_NAME]
    pods = {
        name: endpoint
        for endpoint in manifest.get("endpoints") or ()
        if not (endpoint.get("conditions") or {}).get("terminating") and (name := _pod(endpoint))
    }
    return PeersRecord(
        {
            name: f"http://{_host(address)}:{port}"
            for name, endpoint in pods.items()
            for address in (endpoint.get("addresses") or ())[:1]
            for port in ports[:1]
        },
        {name: str(endpoint["zone"]) for name, endpoint in pods.items() if endpoint.get("zone")},
    )


def parse_issuer(manifest: Manifest) -> IssuerRecord | None:
    """What the API server says of its ServiceAccounts' tokens, as sources/issuer.py puts it together."""
    issuer, jwks = manifest["issuer"], manifest["jwks"]
    if not _ISSUER.fullmatch(issuer) or not _is_key_set(jwks):
        return None
    return IssuerRecord(issuer, jwks)


ISSUER_KIND: Final = "ServiceAccountIssuer"
"""No kind of the API: a name for what is found on two paths of the API server."""

PARSERS: Final[Mapping[str, Callable[[Manifest], Record | None]]] = {
    "ShimmyTenant": parse_tenant,
    "ShimmyModel": parse_model,
    "ShimmyInstance": parse_instance,
    "EndpointSlice": parse_slice,
    "Secret": parse_keys,
    PEERS: parse_peers,
    ISSUER_KIND: parse_issuer,
}
"""How each kind that the router reads is parsed. Each raises KeyError or ValueError for what is malformed."""


def _label(manifest: Manifest, name: str) -> str:
    """Value of a label; empty where there is none, or no text."""
    value = (manifest["metadata"].get("labels") or {}).get(name)
    return value if isinstance(value, str) else ""


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _pod(endpoint: Manifest) -> str:
    target = endpoint.get("targetRef") or {}
    name = str(target.get("name") or "") if target.get("kind") == "Pod" else ""
    return name if len(name) <= names.MAX_NAME else ""  # the API server does not look


def _named(entries: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    """The entries whose name begins with `prefix`, by the rest of it."""
    for entry, value in sorted(entries.items()):
        if entry.startswith(prefix):
            yield entry.removeprefix(prefix), value


def _is_key_set(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("keys"), list)


def _created(metadata: Manifest) -> str:
    return str(metadata.get("creationTimestamp") or "")


def _decoded(manifest: Manifest) -> dict[str, str]:
    plain = {str(entry): str(value) for entry, value in (manifest.get("stringData") or {}).items()}
    for entry, value in (manifest.get("data") or {}).items():
        try:
            plain[entry] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return plain
