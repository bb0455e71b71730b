"""The fleet's objects: tenants with one key and some models each, all served by one stub."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

HOST: Final = "127.0.0.1"
_CREATED: Final = "2026-01-01T00:00:00Z"
_TOKEN: Final = "bench-engine-token-00"  # noqa: S105 - of no engine

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the fleet is."""

    tenants: int
    models: int
    """Of each tenant."""


def fleet(size: Size, port: int) -> Iterator[Object]:
    """All objects; `port` is the stub's."""
    for number in range(size.tenants):
        names = [f"m{model}" for model in range(size.models)]
        yield tenant(number)
        yield secret(number)
        yield {
            "kind": "ShimmyInstance",
            "metadata": _metadata("i", number),
            "spec": {"models": names},
        }
        for name in names:
            yield model(number, name)
            yield pods(number, name, port)


def key(number: int, variant: int = 0) -> str:
    """The tenant's key."""
    return f"sk-shimmy-{number:07d}{variant}-{'0123456789abcdef' * 2}"


def tenant(number: int, entries: int = 1) -> Object:
    """A tenant with so many keys."""
    metadata = {"name": f"t{number}", "creationTimestamp": _CREATED}
    spec = {"keys": [{"name": f"k{variant}"} for variant in range(entries)]}
    return {"kind": "ShimmyTenant", "metadata": metadata, "spec": spec}


def secret(number: int, entries: int = 1) -> Object:
    """The tenant's mirrored keys."""
    keys = {f"key.k{variant}": key(number, variant) for variant in range(entries)}
    return {
        "kind": "Secret",
        "type": "shimmy.dev/tenant-keys",
        "metadata": {
            "name": f"shimmy-keys-t{number}",
            "namespace": "shimmy-system",
            "labels": {"shimmy.dev/keys": f"t{number}"},
        },
        "stringData": {"engineToken": _TOKEN, **keys},
    }


def model(number: int, name: str, *aliases: str) -> Object:
    """A model of the tenant."""
    spec = {"backend": {"gguf": {"source": f"pvc://models/{name}.gguf"}}, "aliases": list(aliases)}
    return {"kind": "ShimmyModel", "metadata": _metadata(name, number), "spec": spec}


def pods(number: int, name: str, port: int, *ending: str) -> Object:
    """The pods of a model: the stub, and some that end."""
    metadata = {**_metadata(f"i-{name}", number), "labels": {"shimmy.dev/model": name, "shimmy.dev/instance": "i"}}
    return {
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [
            {"addresses": [HOST], "conditions": {"ready": True, "terminating": False}},
            *({"addresses": [address], "conditions": {"ready": False, "terminating": True}} for address in ending),
        ],
    }


def _metadata(name: str, number: int) -> Object:
    return {"name": name, "namespace": f"shimmy-t{number}", "creationTimestamp": _CREATED}
