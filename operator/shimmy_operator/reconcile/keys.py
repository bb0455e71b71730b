"""Random values: API keys and engine tokens."""

import re
import secrets
import string
from typing import Final

from shimmy_api import names

_SECRET_LENGTH: Final = 43
"""Characters of 62 kinds: 256 bits, as NIST SP 800-63B asks of look-up secrets and more."""
_ID_LENGTH: Final = 8


def new_key() -> str:
    """An API key that nobody can guess."""
    return f"{names.KEY_PREFIX}-{_random(string.ascii_lowercase + string.digits, _ID_LENGTH)}-{_secret()}"


def new_engine_token() -> str:
    """A token that nobody can guess."""
    return _secret()


def key_id(key: str) -> str | None:
    """The public part of an API key; None if it is no API key."""
    return key.split("-")[2] if re.fullmatch(names.KEY_PATTERN, key) else None


def _secret() -> str:
    return _random(string.ascii_letters + string.digits, _SECRET_LENGTH)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
