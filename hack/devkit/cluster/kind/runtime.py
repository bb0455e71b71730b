"""Starts, asks and deletes one kind cluster."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import yaml

from devkit import binaries
from devkit.cluster.control_plane import Layout
from devkit.cluster.kind import node_image
from devkit.cluster.node import images
from devkit.cluster.state import State
from devkit.images.builder import ImageError, find_builder

_AUDIT_POLICY: Final = "/etc/kubernetes/audit-policy.yaml"
_AUDIT_LOGS: Final = "/var/log/kubernetes"
_AUTHORITY: Final = "/etc/kubernetes/pki"
_WAIT: Final = "180s"
_NETWORK: Final = "kind"
"""Docker network that all kind clusters share; kind makes it and never removes it."""


class KindError(Exception):
    """Docker or kind refused, or is not there; the message says what to do."""


def require() -> None:
    """Make sure that a Docker engine answers.

    Raises:
        KindError: none does.
    """
    if not shutil.which("docker"):
        raise KindError("kind needs Docker (https://docs.docker.com/engine/install); or take --profile node")
    _run("docker", "info")


def create(state: State, layout: Layout) -> None:
    """Create the cluster and wait until its node is ready; its authority's files are then in the cluster's folder.

    Raises:
        KindError: kind failed, or there is no node image.
    """
    try:
        image = node_image.ensure(find_builder())
    except ImageError as error:
        raise KindError(str(error)) from error
    layout.audit_log.parent.mkdir(parents=True, exist_ok=True)
    config = layout.folder / "kind.yaml"
    config.write_text(yaml.safe_dump(configuration(state, layout), sort_keys=False), encoding="utf-8")
    # kind's own kubeconfig names the context otherwise, and would be merged into the user's by default.
    scratch = layout.folder / "kind.kubeconfig"
    if _NETWORK not in _run("docker", "network", "ls", "--format={{.Name}}").split():
        _network_mark(layout).touch()
    command = ["create", "cluster", f"--name={state.context}", f"--image={image}", f"--config={config}"]
    _kind(*command, f"--kubeconfig={scratch}", f"--wait={_WAIT}")
    scratch.unlink()
    layout.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("ca.crt", "ca.key"):
        _run("docker", "cp", "--follow-link", f"{node(state)}:{_AUTHORITY}/{name}", str(layout.pki / name))


def node(state: State) -> str:
    """Name of the cluster's node and of its container."""
    return f"{state.context}-control-plane"


def alive(state: State) -> bool:
    """Whether the node's container runs."""
    command = ["docker", "container", "inspect", "--format={{json .State.Running}}", node(state)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0 and json.loads(done.stdout) is True


def load(state: State, archives: Sequence[Path]) -> list[str]:
    """Load images into the node; the names of the images that it then has.

    Raises:
        KindError: kind failed.
    """
    for path in archives:
        _kind("load", "image-archive", str(path), f"--name={state.context}")
    listed = _run("docker", "exec", node(state), "ctr", "--namespace=k8s.io", "images", "list", "--quiet").split()
    return images.names(listed)


def delete(state: State, layout: Layout) -> None:
    """Delete the cluster, and kind's Docker network if it was made for it and no other cluster uses it.

    Raises:
        KindError: kind failed.
    """
    _kind("delete", "cluster", f"--name={state.context}", "--kubeconfig=/dev/null")
    if _network_mark(layout).exists():
        with suppress(KindError):
            _run("docker", "network", "rm", _NETWORK)


def configuration(state: State, layout: Layout) -> dict[str, Any]:
    """Configuration of kind: one node, our port, the audit log in the cluster's folder, aggregator routing."""
    api_server = {
        "extraArgs": {
            "audit-policy-file": _AUDIT_POLICY,
            "audit-log-path": f"{_AUDIT_LOGS}/{layout.audit_log.name}",
            "audit-log-maxsize": "1024",
            "enable-aggregator-routing": "true",
        },
        "extraVolumes": [
            {"name": "audit-policy", "hostPath": _AUDIT_POLICY, "mountPath": _AUDIT_POLICY, "readOnly": True},
            {"name": "audit-logs", "hostPath": _AUDIT_LOGS, "mountPath": _AUDIT_LOGS},
        ],
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {
            "apiServerAddress": state.host,
            "apiServerPort": state.ports["kube-apiserver"],
            "serviceSubnet": state.service_range,
            "podSubnet": state.pod_range,
        },
        "nodes": [
            {
                "role": "control-plane",
                "labels": {"shimmy.dev/development-node": "real"},
                "extraMounts": [
                    {"hostPath": str(layout.audit_policy), "containerPath": _AUDIT_POLICY, "readOnly": True},
                    {"hostPath": str(layout.audit_log.parent), "containerPath": _AUDIT_LOGS},
                ],
                "kubeadmConfigPatches": [yaml.safe_dump({"kind": "ClusterConfiguration", "apiServer": api_server})],
            }
        ],
    }


def _network_mark(layout: Layout) -> Path:
    """Is there if the cluster's start made kind's network."""
    return layout.folder / "made-kind-network"


def _kind(*arguments: str) -> str:
    return _run(str(binaries.ensure("kind")), *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KindError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
