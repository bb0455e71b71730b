"""What a fetch may be told beside source and destination."""

from dataclasses import dataclass, field
from pathlib import Path

from shimmy_engine.fetch.transfer import Bounds


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Settings of a fetch; the defaults suit a laptop."""

    bounds: Bounds = field(default_factory=Bounds)
    credentials: Path | None = None
    """Folder with credentials as files (fetch/credentials.py); the usual places of a laptop if absent."""
    ca_file: Path | None = None
    """PEM file of certificate authorities that are trusted beside the usual ones."""
    offline: bool = False
    """Whether the network must not be used."""
