"""An issuer of tokens (JWT, RFC 7519) and its public keys (RFC 7517)."""

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def encode(content: bytes) -> str:
    """In base64url without padding, RFC 7515, section 2."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Issuer:
    """Signs with one RSA key."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def jwks(self) -> str:
        numbers = self._key.public_key().public_numbers()
        n, e = (encode(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": e}]})

    def token(
        self, subject: Any, audience: Any = "shimmy", *, seconds: float | None = 600, more: dict[str, Any] | None = None
    ) -> str:
        """A token that ends in so many seconds, or never."""
        payload: dict[str, Any] = {"iss": self.url, "sub": subject, "aud": audience, **(more or {})}
        if seconds is not None:
            payload["exp"] = int(time.time() + seconds)
        signed = f"{_json({'alg': 'RS256', 'kid': 'one', 'typ': 'JWT'})}.{_json(payload)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"


def unsigned(token: str) -> str:
    """The same content, with the word that nothing is signed."""
    return f"{_json({'alg': 'none', 'typ': 'JWT'})}.{token.split('.')[1]}."


def tampered(token: str, **claims: Any) -> str:
    """Other content under the same signature."""
    head, payload, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{head}.{_json(content | claims)}.{signature}"


def _json(content: Any) -> str:
    return encode(json.dumps(content).encode())
