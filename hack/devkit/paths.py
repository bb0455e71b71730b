"""Where the development tools keep what they build and start."""

import os
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
GO_MODULES: Final = REPOSITORY / "hack" / "go"


def cache() -> Path:
    """The user's cache folder of this project: $SHIMMY_CACHE, else the XDG cache folder."""
    if named := os.environ.get("SHIMMY_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "shimmy-operator"


def clusters() -> Path:
    """One folder per development cluster: its state, logs, keys and process records."""
    return cache() / "clusters"
