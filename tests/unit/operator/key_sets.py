"""JSON Web Key Sets of keys that tests make."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def number(value: int, length: int | None = None) -> str:
    """A number as RFC 7518 writes it."""
    data = value.to_bytes(length or (value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rsa_key(kid: str = "rsa", bits: int = 2048, **more: Any) -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "n": number(numbers.n), "e": number(numbers.e), **more}


def ec_key(kid: str = "ec", crv: str = "P-256", **more: Any) -> dict[str, Any]:
    curve = _CURVES[crv]
    numbers, length = ec.generate_private_key(curve).public_key().public_numbers(), (curve.key_size + 7) // 8
    return {"kty": "EC", "kid": kid, "crv": crv, "x": number(numbers.x, length), "y": number(numbers.y, length), **more}


def ed_key(kid: str = "ed", **more: Any) -> dict[str, Any]:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {
        "kty": "OKP",
        "kid": kid,
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        **more,
    }


def key_set(*keys: Any) -> str:
    return json.dumps({"keys": keys})
