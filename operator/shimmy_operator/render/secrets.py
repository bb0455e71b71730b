"""Secrets of a tenant: API keys, the engines' token, and the mirror that the router reads.

Random values come from outside (reconcile/keys.py): rendering the same input twice gives the same output.
"""

import base64
from typing import Final

from shimmy_api import names
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata

KEY_ENTRY: Final = "key"
TOKEN_ENTRY: Final = "token"  # noqa: S105 - the name of a data entry
MIRROR_TOKEN_ENTRY: Final = "engineToken"  # noqa: S105 - the name of a data entry


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


def render_mirror(tenant: str, keys: dict[str, str], engine_token: str, owner: Owner, namespace: str) -> Manifest:
    """The Secret in the router's `namespace` that holds all keys of a tenant and dies with it.

    `keys` maps the name of a key to the key.
    """
    data = {MIRROR_TOKEN_ENTRY: engine_token} | {f"key.{name}": key for name, key in keys.items()}
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


def decoded(secret: Manifest, entry: str) -> str | None:
    """One entry of a Secret's data; None if it is absent or no text."""
    try:
        return base64.b64decode((secret.get("data") or {})[entry], validate=True).decode()
    except (KeyError, ValueError):
        return None
