"""What the router keeps of each Kubernetes object, parsed once when the object arrives."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api import names
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.tenant import ShimmyTenantSpec, ShimmyTenantStatus

_KEY = re.compile(names.KEY_PATTERN)
_KEY_ENTRY: Final = "key."
_ENGINE_TOKEN_ENTRY: Final = "engineToken"  # noqa: S105 - the name of an entry, not a secret
_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")
"""Printable ASCII without blanks: what fits into a header as it is."""


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A ShimmyTenant."""

    name: str
    created: str
    """metadata.creationTimestamp: RFC 3339 in UTC, which sorts as text."""
    namespace: str


@dataclass(frozen=True, slots=True)
class KeysRecord:
    """The Secret that mirrors a tenant's keys into the router's namespace."""

    tenant: str
    """Value of the label: the tenant's name, bounded to a label's length."""
    keys: tuple[str, ...]
    engine_token: str

    def __repr__(self) -> str:
        return f"KeysRecord(tenant={self.tenant!r}, {len(self.keys)} keys)"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A ShimmyModel."""

    namespace: str
    name: str
    created: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A ShimmyInstance."""

    namespace: str
    models: tuple[str, ...]
    timeout_seconds: int


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One engine pod's address."""

    address: str
    port: int
    draining: bool = False
    """Whether the pod is being deleted: it finishes what it has and gets nothing new."""


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """An EndpointSlice of one model's Service."""

    namespace: str
    model: str
    """Value of the label: the model's name, bounded to a label's length."""
    endpoints: tuple[Endpoint, ...]


Record = TenantRecord | KeysRecord | ModelRecord | InstanceRecord | SliceRecord
Manifest = Mapping[str, Any]


def parse_tenant(manifest: Manifest) -> TenantRecord:
    """A ShimmyTenant; its namespace is the one that the operator reports, else the one that it will make."""
    metadata = manifest["metadata"]
    spec = ShimmyTenantSpec.model_validate(manifest.get("spec") or {})
    status = ShimmyTenantStatus.model_validate(manifest.get("status") or {})
    namespace = status.namespace or spec.namespace or names.tenant_namespace(metadata["name"])
    return TenantRecord(metadata["name"], _created(metadata), namespace)


def parse_keys(manifest: Manifest) -> KeysRecord | None:
    """A Secret of mirrored keys, or None for any other Secret. Entries that are no keys of ours are left out."""
    tenant = (manifest["metadata"].get("labels") or {}).get(names.LABEL_KEYS)
    if not tenant or manifest.get("type") != names.SECRET_TYPE_KEYS:
        return None
    entries = _decoded(manifest)
    keys = {value for entry, value in entries.items() if entry.startswith(_KEY_ENTRY) and _KEY.fullmatch(value)}
    token = entries.get(_ENGINE_TOKEN_ENTRY, "")
    return KeysRecord(tenant, tuple(sorted(keys)), token if _TOKEN.fullmatch(token) else "")


def parse_model(manifest: Manifest) -> ModelRecord:
    """A ShimmyModel."""
    metadata = manifest["metadata"]
    spec = ShimmyModelSpec.model_validate(manifest["spec"])
    return ModelRecord(metadata["namespace"], metadata["name"], _created(metadata), spec.aliases)


def parse_instance(manifest: Manifest) -> InstanceRecord:
    """A ShimmyInstance."""
    spec = ShimmyInstanceSpec.model_validate(manifest["spec"])
    return InstanceRecord(manifest["metadata"]["namespace"], spec.models, spec.routing.timeout_seconds)


def parse_slice(manifest: Manifest) -> SliceRecord | None:
    """An EndpointSlice of a model, or None for any other. Endpoints that are neither ready nor ending are left out."""
    metadata = manifest["metadata"]
    model = (metadata.get("labels") or {}).get(names.LABEL_MODEL)
    if not model or manifest.get("addressType") not in {"IPv4", "IPv6"}:
        return None
    ports = [port["port"] for port in manifest.get("ports") or () if port.get("name") == names.ENGINE_PORT_NAME]
    endpoints = [
        Endpoint(address, port, draining)
        for endpoint in manifest.get("endpoints") or ()
        for draining in _use(endpoint.get("conditions") or {})
        for address in endpoint.get("addresses") or ()
        for port in ports
    ]
    return SliceRecord(metadata["namespace"], model, tuple(sorted(set(endpoints))))


PARSERS: Final[Mapping[str, Callable[[Manifest], Record | None]]] = {
    "ShimmyTenant": parse_tenant,
    "ShimmyModel": parse_model,
    "ShimmyInstance": parse_instance,
    "EndpointSlice": parse_slice,
    "Secret": parse_keys,
}
"""How each kind that the router reads is parsed. Each raises KeyError or ValueError for what is malformed."""


def _use(conditions: Mapping[str, bool | None]) -> tuple[bool, ...]:
    """Whether the endpoint is draining, in a tuple; an empty one where it is of no use.

    An unknown `ready` is to be taken as ready, says the API of discovery.k8s.io/v1.
    """
    if conditions.get("terminating"):
        return (True,)
    return () if conditions.get("ready") is False else (False,)


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
