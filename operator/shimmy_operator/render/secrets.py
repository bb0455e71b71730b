"""Secrets of a tenant: API keys, the engines' token, and the mirror that the router reads.

Random values come from outside (reconcile/keys.py): rendering the same input twice gives the same output.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shimmy_api import names
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata

KEY_ENTRY: Final = "key"
TOKEN_ENTRY: Final = "token"  # noqa: S105 - the name of a data entry
MIRROR_TOKEN_ENTRY: Final = "engineToken"  # noqa: S105 - the name of a data entry
MIRROR_KEY: Final = "key."
MIRROR_KEY_SET: Final = "jwks."


def render_key_secret(tenant: str, namespace: str, key: str, owner: Owner) -> Manifest:
    """The Secret of one API key, without its data, which is written once when it is created."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(names.key_secret(key), namespace, labels(tenant), owner),
        "type": names.SECRET_TYPE_KEY,
    }


def render_engine_token_secret(tenant: str, namespace: str, owner: Owner) -> Manifest:
    """The Secret of the engines' token, without its data, which is written once when it is created."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(names.ENGINE_TOKEN_SECRET, namespace, labels(tenant), owner),
        "type": "Opaque",
    }


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the router needs to know of a tenant that nobody else may."""

    engine_token: str = field(repr=False)
    keys: Mapping[str, str] = field(repr=False)
    """API keys that are accepted, by name."""
    key_sets: Mapping[str, str] = field(default_factory=dict)
    """JSON Web Key Sets, by the name of the entry of spec.tokens."""


def render_mirror(tenant: str, credentials: Credentials, owner: Owner, namespace: str) -> Manifest:
    """The Secret in the router's `namespace` that holds all credentials of a tenant and dies with it."""
    data = {MIRROR_TOKEN_ENTRY: credentials.engine_token}
    data |= {f"{MIRROR_KEY}{name}": key for name, key in credentials.keys.items()}
    data |= {f"{MIRROR_KEY_SET}{name}": key_set for name, key_set in credentials.key_sets.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(names.mirrored_keys_secret(tenant), namespace, labels(tenant, keys=tenant), owner),
        "type": names.SECRET_TYPE_KEYS,
        "data": {name: encoded(value) for name, value in data.items()},
    }


def encoded(value: str) -> str:
    """A value as it stands in a Secret's data."""
    return base64.b64encode(value.encode()).decode()


def mirrored_keys(manifest: Manifest) -> Mapping[str, str]:
    """The keys in a Secret that may be a mirror, by name; none of any other Secret."""
    if manifest.get("type") != names.SECRET_TYPE_KEYS:
        return {}
    entries = [entry for entry in manifest.get("data") or {} if entry.startswith(MIRROR_KEY)]
    return {entry.removeprefix(MIRROR_KEY): decoded(manifest, entry) or "" for entry in entries}


def decoded(secret: Manifest, entry: str) -> str | None:
    """One entry of a Secret's data; None if it is absent or no text."""
    try:
        return base64.b64decode((secret.get("data") or {})[entry], validate=True).decode()
    except (KeyError, ValueError):
        return None
