"""Starts a real node's programs, in order, and loads images into it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from devkit import binaries
from devkit.cluster.cluster import Cluster, ClusterError
from devkit.cluster.control_plane import flags
from devkit.cluster.node import cgroups, images, network, settings, system_images
from devkit.cluster.node.prerequisites import cni_folder
from devkit.cluster.node.settings import NODE, Node
from devkit.cluster.simulated import is_ready, offer_gpus
from devkit.packages import search_path
from devkit.pki import Authority
from devkit.waiting import until

_MANIFESTS: Final = Path(__file__).parent / "manifests"
_CONTAINERD_SECONDS: Final = 20
_READY_SECONDS: Final = 90
_FIREWALL_CHAIN: Final = "KUBE-ROUTER-FORWARD"
_CAP_SYS_RESOURCE: Final = 24
"""Bit in a capability set (linux/capability.h)."""


def prepare(node: Node) -> None:
    """Make the network and the cgroup: before the API server starts, which listens on the network's link."""
    network.create(node.plan, node.own)
    cgroups.create(node.own)
    for folder in (node.cni, node.pod_logs, node.folder / "kubelet", node.folder / "volumes", node.run):
        folder.mkdir(parents=True, exist_ok=True)


def start(cluster: Cluster) -> None:
    """Start the node beside its control plane and wait until it is ready, and its DNS with it.

    Raises:
        ClusterError: a part did not get ready; the message ends with its log.
        TimeoutError: likewise, where no single part is to blame.
    """
    node = Node(cluster.state, cluster.layout)
    _apply(cluster, node, "rights", "dns", "storage")
    _start_containerd(cluster, node)
    images.load(node, [system_images.build(metrics=cluster.state.metrics)])
    _start_kubelet(cluster, node)
    _start_proxy(cluster, node)
    client = cluster.client
    path = f"/api/v1/nodes/{NODE}"
    _wait(cluster, "kubelet", "the node is ready", lambda: is_ready(client.find(path) or {}))
    _start_firewall(cluster, node)
    if cluster.state.gpus:
        offer_gpus(client, NODE, cluster.state.gpus)
    _wait_available(cluster, "kube-system", "coredns")
    _wait_available(cluster, "local-path-storage", "local-path-provisioner")
    if cluster.state.metrics:
        # Last: while an aggregated API is announced and not yet there, namespaces cannot be deleted.
        _apply(cluster, node, "metrics")
        _wait_available(cluster, "kube-system", "metrics-server")


def _start_containerd(cluster: Cluster, node: Node) -> None:
    config = node.folder / "containerd.toml"
    plugins = cni_folder() or Path("/opt/cni/bin")
    config.write_text(settings.containerd(node, plugins, restrict_oom_score=not _may_lower_oom_score()), "utf-8")
    (node.cni / "10-pods.conflist").write_text(settings.pod_network(node), encoding="utf-8")
    _start(cluster, node, "containerd", ["containerd", f"--config={config}"])

    _wait(cluster, "containerd", "containerd answers", lambda: images.answers(node), seconds=_CONTAINERD_SECONDS)


def _start_kubelet(cluster: Cluster, node: Node) -> None:
    config = node.folder / "kubelet.yaml"
    config.write_text(settings.kubelet(node), encoding="utf-8")
    Authority(node.layout.pki, "ca").server("kubelet", [NODE, node.plan.node])
    credentials = _credentials(cluster, "kubelet", f"system:node:{NODE}", ["system:nodes"])
    arguments = flags(
        config=config,
        kubeconfig=credentials,
        root_dir=node.folder / "kubelet",
        cert_dir=node.folder / "kubelet-pki",
        hostname_override=NODE,
        node_ip=node.plan.node,
        node_labels="shimmy.dev/development-node=real",
    )
    _start(cluster, node, "kubelet", [str(binaries.ensure("kubelet")), *arguments])


def _start_proxy(cluster: Cluster, node: Node) -> None:
    _credentials(cluster, "kube-proxy", "system:kube-proxy")
    config = node.folder / "kube-proxy.yaml"
    config.write_text(settings.proxy(node), encoding="utf-8")
    _start(cluster, node, "kube-proxy", [str(binaries.ensure("kube-proxy")), f"--config={config}"])


def _start_firewall(cluster: Cluster, node: Node) -> None:
    """kube-router, of which only the part that enforces NetworkPolicies runs."""
    arguments = flags(
        kubeconfig=_credentials(cluster, "kube-router", "shimmy-dev:kube-router"),
        run_firewall=True,
        run_router=False,
        run_service_proxy=False,
        run_loadbalancer=False,
        hostname_override=NODE,
        service_cluster_ip_range=node.plan.services,
        health_port=0,
        metrics_port=0,
    )
    program = str(binaries.ensure("kube-router"))
    _start(cluster, node, "kube-router", [program, *arguments], {"NODE_NAME": NODE})
    chain = [*network.inside(node.own), "iptables", "--list-rules", _FIREWALL_CHAIN]

    def filters() -> bool:
        return subprocess.run(chain, capture_output=True, check=False).returncode == 0

    _wait(cluster, "kube-router", "the firewall filters", filters)


def _start(
    cluster: Cluster, node: Node, name: str, command: list[str], environment: Mapping[str, str] | None = None
) -> None:
    inside = [*network.inside(node.own), *command]
    cluster.processes.start(name, inside, {"PATH": search_path()} | dict(environment or {}))


def _credentials(cluster: Cluster, name: str, user: str, groups: Sequence[str] = ()) -> str:
    path = cluster.layout.user_config(name)
    cluster.credentials(user, groups).rename(path)
    return path


def _wait(cluster: Cluster, name: str, what: str, ask: Any, seconds: float = _READY_SECONDS) -> None:
    def alive_and_so() -> bool:
        known = cluster.processes.get(name)
        if known is None or not known.alive():
            raise ClusterError(f"{name} ended; the end of its log:\n{cluster.processes.tail(name)}")
        return bool(ask())

    try:
        until(alive_and_so, what, seconds=seconds)
    except TimeoutError as error:
        raise ClusterError(f"{error}; the end of {name}'s log:\n{cluster.processes.tail(name)}") from error


def _wait_available(cluster: Cluster, namespace: str, name: str) -> None:
    client = cluster.client
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"

    def available() -> bool:
        return bool(client.json(path).get("status", {}).get("availableReplicas"))

    _wait(cluster, "kubelet", f"{name} is ready", available)


def _apply(cluster: Cluster, node: Node, *manifests: str) -> None:
    names = {
        "coredns": system_images.COREDNS,
        "provisioner": system_images.PROVISIONER,
        "shell": system_images.SHELL,
        "metrics": system_images.METRICS,
        "dns": node.plan.dns,
        "volumes": str(node.folder / "volumes"),
    }
    texts = [(_MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8") for name in manifests]
    objects = "\n---\n".join(Template(text).substitute(names) for text in texts)
    cluster.kubectl("apply", "--server-side", "-f", "-", standard_input=objects)


def _may_lower_oom_score() -> bool:
    """Whether this machine grants root CAP_SYS_RESOURCE; some virtual machines and containers do not."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_RESOURCE & 1)
