"""Takes a node away, whatever state it is in: pods, mounts, network, cgroup and files."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from devkit.cluster.node import cgroups, network
from devkit.cluster.node.settings import Node
from devkit.processes import Processes

_CNI_CACHE: Final = Path("/var/lib/cni")
_CONTAINER_LOGS: Final = Path("/var/log/containers")
_NODE_PROGRAMS: Final = ("kubelet", "kube-router", "kube-proxy", "containerd")


def remove(node: Node, processes: Processes) -> None:
    """Remove everything of the node outside its cluster's folder, and what is mounted inside it."""
    for name in _NODE_PROGRAMS:
        processes.stop(name, at_once=True)
    # The pods' processes are in the node's cgroup; containerd's shims are found by their environment.
    cgroups.remove(node.own)
    processes.stop_all(at_once=True)
    _unmount(node.folder, node.run)
    cgroups.remove(node.own)
    network.remove(node.plan, node.own)
    _remove_traces(node)


def _unmount(*folders: Path) -> None:
    """Unmount everything at or below the folders, the innermost first."""
    table = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [Path(_unescaped(line.split()[1])) for line in table]
    for point in reversed(points):
        if any(point.is_relative_to(folder) for folder in folders):
            subprocess.run(["umount", "--lazy", str(point)], check=True)


def _unescaped(field: str) -> str:
    """A path of /proc/mounts, in which blanks are octal (fstab(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


def _remove_traces(node: Node) -> None:
    """Files that the programs keep at fixed places, whatever their configuration says."""
    shutil.rmtree(node.run, ignore_errors=True)
    own = re.compile(rf"{re.escape(node.own)}-([0-9a-f]{{64}})-.*")
    pods = {match.group(1) for path in _CNI_CACHE.glob("*/*") if (match := own.fullmatch(path.name))}
    for path in _CNI_CACHE.glob("*/*"):
        if any(pod in path.name for pod in pods):
            path.unlink()
    for path in _CONTAINER_LOGS.glob("*.log"):
        if path.is_symlink() and path.readlink().is_relative_to(node.pod_logs):
            path.unlink()
    for folder in (_CNI_CACHE / "results", _CNI_CACHE / "cache", _CNI_CACHE, _CONTAINER_LOGS):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
