"""Simulated nodes with GPUs: KWOK plays their kubelets, so pods become Running and Ready without a container."""

from typing import Any, Final

import yaml

from devkit import binaries
from devkit.cluster.client import Client
from devkit.cluster.cluster import Cluster
from devkit.cluster.control_plane import flags
from devkit.waiting import until

GPU: Final = "nvidia.com/gpu"
_READY_SECONDS: Final = 60


def node(number: int, gpus: int) -> dict[str, Any]:
    """A node with much room and `gpus` GPUs."""
    name = f"simulated-{number}"
    capacity = {"cpu": "64", "memory": "512Gi", "pods": "250", "ephemeral-storage": "1Ti", GPU: str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "kubernetes.io/hostname": name,
                "nvidia.com/gpu.product": "SIMULATED",
                "type": "kwok",
            },
        },
        "status": {"allocatable": capacity, "capacity": capacity},
    }


def start(cluster: Cluster) -> None:
    """Start KWOK, create the nodes and wait until they are ready."""
    command = [str(binaries.ensure("kwok")), *_flags(cluster)]
    cluster.processes.start("kwok", command)
    nodes = [node(number, cluster.state.gpus) for number in range(1, cluster.state.nodes + 1)]
    cluster.kubectl("apply", "--server-side", "-f", "-", standard_input=yaml.safe_dump_all(nodes))
    until(lambda: _all_ready(cluster), "the simulated nodes are ready", seconds=_READY_SECONDS)


def offer_gpus(client: Client, name: str, gpus: int) -> None:
    """Let a real node say that it has GPUs, which no device plugin gives it.

    https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
    """
    # kubelet would derive the allocatable number from the capacity, but only at its next report.
    patch = {"status": {"capacity": {GPU: str(gpus)}, "allocatable": {GPU: str(gpus)}}}
    client.json(f"/api/v1/nodes/{name}/status", "PATCH", patch, "application/merge-patch+json")


def _flags(cluster: Cluster) -> list[str]:
    return flags(
        kubeconfig=cluster.kubeconfig,
        manage_all_nodes=False,
        manage_nodes_with_annotation_selector="kwok.x-k8s.io/node=fake",
        server_address=f"127.0.0.1:{cluster.state.ports['kwok']}",
        node_lease_duration_seconds=40,
        cidr="10.250.0.1/16",
    )


def _all_ready(cluster: Cluster) -> bool:
    nodes = cluster.client.json("/api/v1/nodes?labelSelector=type%3Dkwok")["items"]
    return len(nodes) == cluster.state.nodes and all(is_ready(item) for item in nodes)


def is_ready(item: dict[str, Any]) -> bool:
    """Whether a Node or a Pod has the condition Ready."""
    conditions = item.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
