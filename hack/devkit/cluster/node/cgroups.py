"""The node's own root in every cgroup hierarchy of this machine, version 1 or 2."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from devkit.waiting import until

MOUNT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "cpuset", "io", "memory", "pids")
_EMPTY_SECONDS: Final = 20


def create(name: str, mount: Path = MOUNT) -> None:
    """Make the group `name` in every hierarchy."""
    if (mount / "cgroup.controllers").exists():
        have = (mount / "cgroup.controllers").read_text(encoding="ascii").split()
        wanted = " ".join(f"+{controller}" for controller in _CONTROLLERS if controller in have)
        (mount / "cgroup.subtree_control").write_text(wanted, encoding="ascii")
        (mount / name).mkdir(exist_ok=True)
        return
    for hierarchy in _hierarchies(mount):
        if hierarchy.name == "unified":
            continue  # version 2 beside version 1 has no controllers; runc makes the group itself
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        # In version 1 a new cpuset is empty, and an empty one takes no process.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text(encoding="ascii"), encoding="ascii")


def remove(name: str, mount: Path = MOUNT) -> None:
    """Kill every process in the group and remove it from every hierarchy.

    Raises:
        TimeoutError: a process survived.
    """
    until(lambda: not _kill(name, mount), f"every process in cgroup {name} ends", seconds=_EMPTY_SECONDS)
    for group in _groups(name, mount):
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                Path(folder).rmdir()


def _kill(name: str, mount: Path) -> list[int]:
    """Kill what is in the group; the processes that were still there."""
    found: set[int] = set()
    for group in _groups(name, mount):
        for listing in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in listing.read_text(encoding="ascii").split())
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return sorted(found)


def _groups(name: str, mount: Path) -> list[Path]:
    return [group for group in (mount / name, *(h / name for h in _hierarchies(mount))) if group.is_dir()]


def _hierarchies(mount: Path) -> list[Path]:
    """Hierarchies below `mount`: those of version 1, and version 2 where it is mounted beside them."""
    if (mount / "cgroup.controllers").exists():
        return []
    return [hierarchy for hierarchy in sorted(mount.iterdir()) if (hierarchy / "cgroup.procs").exists()]
