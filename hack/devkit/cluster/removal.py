"""Ends a development cluster and removes all of it, also after a crash."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devkit.cluster.control_plane import Layout
from devkit.cluster.kind import runtime
from devkit.cluster.node import teardown
from devkit.cluster.node.settings import Node
from devkit.cluster.state import State
from devkit.paths import cache
from devkit.processes import Processes


def stop(folder: Path) -> None:
    """End the cluster in `folder` and remove the folder. Nothing happens where there is none.

    Raises:
        PermissionError: the folder is no cluster's.
    """
    with locked(folder):
        remove(folder)


def remove(folder: Path) -> None:
    """Like `stop`, for a caller that holds the lock."""
    if not folder.exists():
        return
    if State.read(folder) is None and any(folder.iterdir()):
        raise PermissionError(f"{folder} is not empty and no cluster's: left alone")
    tear_down(folder)
    shutil.rmtree(folder)


def tear_down(folder: Path) -> None:
    """End every process and take away everything outside the folder; its files stay to be looked at."""
    state = State.read(folder)
    if state is None:
        return
    if state.profile == "kind":
        runtime.delete(state, Layout(folder))
        return
    processes = Processes(folder)
    if state.network is not None:
        teardown.remove(Node(state, Layout(folder)), processes)
    processes.stop_all(at_once=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from starting or stopping the same cluster."""
    path = cache() / "locks" / f"cluster-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
