"""An issuer's public keys, as the router gets them: only what verifies signatures, and nothing that could make one.

Source of the members' names and meanings: RFC 7517 (JWK), RFC 7518 section 6 (RSA, EC) and RFC 8037 (OKP).
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_BYTES: Final = 32 << 10
"""Of one set: sixteen of them and all keys of a tenant fit into one Secret, which has at most 1 MiB."""
_MAX_KEYS: Final = 64
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of private and of symmetric keys."""
_NAMES: Final = ("kid", "alg", "use")
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
_ALGORITHMS: Final[Mapping[str, frozenset[str]]] = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC": frozenset({"ES256", "ES384", "ES512"}),
    "OKP": frozenset({"EdDSA"}),
}
"""Signatures that can be made with a key: RFC 7518, section 3.1, and RFC 8037, section 3.1."""
_CURVES: Final[Mapping[str, frozenset[str]]] = {
    "EC": frozenset({"P-256", "P-384", "P-521"}),
    "OKP": frozenset({"Ed25519"}),
}
_LEAST_RSA_BYTES: Final = 2048 // 8
"""RFC 7518, section 3.3."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Public keys that signatures can be verified with."""

    text: str
    """A JSON Web Key Set: the same keys give the same text."""
    count: int


def read_key_set(text: str) -> KeySet:
    """The usable public keys of a JSON Web Key Set; others are left out, as RFC 7517, section 5, asks.

    Raises:
        ValueError: it is none, has a part that must stay secret, or has no usable key. The message quotes no key.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"is longer than {MAX_BYTES} bytes")
    keys = _entries(text)
    if any(_SECRET & key.keys() for key in keys):
        raise ValueError("holds private or symmetric keys: replace them at the issuer, and give only the public ones")
    usable = [public for key in keys if (public := _public(key)) is not None]
    if not usable:
        raise ValueError("has no public key for RS, PS, ES or EdDSA signatures")
    if len(usable) > _MAX_KEYS:
        raise ValueError(f"has more than {_MAX_KEYS} keys")
    return KeySet(json.dumps({"keys": usable}, sort_keys=True, separators=(",", ":")), len(usable))


def _entries(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise ValueError('is no JSON Web Key Set: {"keys": [...]}')
    return [key for key in keys if isinstance(key, dict)]


def _public(key: Mapping[str, Any]) -> dict[str, str] | None:
    """What verifying needs of a key; None if the key is not for that."""
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in _VALUES or not _signs(key, kind):
        return None
    public = {"kty": kind} | {name: key[name] for name in _NAMES if name in key}
    if kind in _CURVES:
        if key.get("crv") not in _CURVES[kind]:
            return None
        public["crv"] = key["crv"]
    for name in _VALUES[kind]:
        value = _decoded(key.get(name))
        if not value or (name == "n" and len(value.lstrip(b"\0")) < _LEAST_RSA_BYTES):
            return None
        public[name] = key[name]
    return public


def _signs(key: Mapping[str, Any], kind: str) -> bool:
    if not all(isinstance(key.get(name, ""), str) for name in _NAMES):
        return False
    operations = key.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    return key.get("use", "sig") == "sig" and ("alg" not in key or key["alg"] in _ALGORITHMS[kind])


def _decoded(value: object) -> bytes:
    """The bytes of a base64url text without padding (RFC 7515, section 2); none if it is no such text."""
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
