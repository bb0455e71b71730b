"""Where the demo runs: on kind where Docker runs, else on a real node on this machine."""

import shutil
import subprocess

from devkit.cluster import Profile


def choose(wanted: Profile | None) -> tuple[Profile, str]:
    """The profile of hack/cluster to take, and why."""
    if wanted:
        return wanted, f"a cluster with profile {wanted}, as asked"
    if _docker_runs():
        return "kind", "a cluster on kind, for Docker runs here"
    return "node", "a cluster of containerd and kubelet on this machine, for no Docker engine answers"


def _docker_runs() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
