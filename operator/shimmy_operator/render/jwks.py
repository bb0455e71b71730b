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
_CURVE_ALGORITHMS: Final[Mapping[str, str]] = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
"""RFC 7518, section 3.4; RFC 8037, section 3.1."""
_ED25519_BYTES: Final = 32
"""RFC 8032, section 5.1.5."""
_LEAST_RSA_BYTES: Final = 2048 // 8
"""RFC 7518, section 3.3."""


@dataclass(frozen=True, slots=True)
class _Curve:
    """y^2 = x^3 - 3x + b modulo the prime: FIPS 186-4, appendix D.1.2."""

    prime: int
    b: int

    def has(self, x: int, y: int) -> bool:
        """Whether this is one of its points."""
        return max(x, y) < self.prime and (y * y - x**3 + 3 * x - self.b) % self.prime == 0


_POINTS: Final[Mapping[str, _Curve]] = {
    "P-256": _Curve(
        2**256 - 2**224 + 2**192 + 2**96 - 1, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    ),
    "P-384": _Curve(
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "P-521": _Curve(
        2**521 - 1,
        0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}


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
    return public if kind == "RSA" or _is_point(public) else None


def _is_point(key: Mapping[str, str]) -> bool:
    """Whether an EC or OKP key is one of its curve, and for that curve's signatures.

    Envoy checks the same, and for the sake of one bad key refuses the keys of all issuers.
    """
    if key.get("alg", _CURVE_ALGORITHMS[key["crv"]]) != _CURVE_ALGORITHMS[key["crv"]]:
        return False
    if key["kty"] == "OKP":
        return len(_decoded(key["x"])) == _ED25519_BYTES
    x, y = (int.from_bytes(_decoded(key[name]), "big") for name in ("x", "y"))
    return _POINTS[key["crv"]].has(x, y)


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
