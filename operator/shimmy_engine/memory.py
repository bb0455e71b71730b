"""How much memory this container may use."""

from pathlib import Path
from typing import Final

_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Version 2 and version 1 of control groups (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst)."""
_UNLIMITED: Final = 1 << 60
"""Version 1 says so by a number near 2^63."""
_SHARE: Final = 0.9


def container_memory() -> int | None:
    """Bytes beyond which the kernel is soon to kill something here; None where there is no limit."""
    for path in _LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        return int(int(text) * _SHARE) if text.isdecimal() and int(text) < _UNLIMITED else None
    return None
