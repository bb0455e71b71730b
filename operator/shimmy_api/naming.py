"""Object names from names that people gave to files."""

import hashlib
import re
import unicodedata
from collections.abc import Container
from typing import Final

from shimmy_api.names import bounded

_NOTHING_LEFT: Final = "model"
_DIGESTS: Final = (8, 16, 32)


def dns_label(text: str) -> str:
    """A DNS label (RFC 1123) that resembles `text`: the same text always gives the same label."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return bounded(re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or _NOTHING_LEFT)


def distinct(name: str, key: str, taken: Container[str]) -> str:
    """`name` if it is free, else `name` with a digest of `key`, which tells apart what would share the name."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    candidates = (name, *(bounded(name, digest[:length]) for length in _DIGESTS))
    return next(candidate for candidate in candidates if candidate not in taken)
