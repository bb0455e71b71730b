"""A file as the transfer sees it, wherever it comes from."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from shimmy_engine.checksums import Checksum


@dataclass(frozen=True, slots=True)
class Remote:
    """A file behind an HTTP address."""

    place: str
    """Where it is, for people: without credentials and signatures."""
    address: Callable[[], str] = field(repr=False)
    """The URL of the next request; a signature in it may be new each time."""
    auth: httpx.Auth | None = field(default=None, repr=False)
    """What proves the right to read it."""
    checksum: Checksum | None = None
    """What its content must be."""
