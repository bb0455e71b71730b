"""Where a node keeps its files, and the configuration of its programs. Pure: from a cluster's state to text."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from devkit.cluster.control_plane import Layout
from devkit.cluster.node.network import Plan
from devkit.cluster.node.system_images import PAUSE
from devkit.cluster.state import State

NODE: Final = "shimmy-dev-node"
"""Name of the node in its cluster."""


@dataclass(frozen=True, slots=True)
class Node:
    """One cluster's real node."""

    state: State
    layout: Layout

    @property
    def plan(self) -> Plan:
        """Its network."""
        if self.state.network is None:
            raise ValueError(f"cluster {self.state.name} has no real node")
        return Plan(self.state.network)

    @property
    def own(self) -> str:
        """Name of its network namespace, cgroup and pod network on this machine."""
        return f"shimmy-dev-{self.state.name}"

    @property
    def folder(self) -> Path:
        """Images, containers, volumes and logs."""
        return self.layout.folder / "node"

    @property
    def run(self) -> Path:
        """Sockets: a short path, for a Unix socket's is at most 107 bytes long."""
        return Path("/run") / self.own

    @property
    def socket(self) -> Path:
        """Of containerd."""
        return self.run / "containerd.sock"

    @property
    def pod_logs(self) -> Path:
        """Output of containers."""
        return self.folder / "pod-logs"

    @property
    def cni(self) -> Path:
        """Configuration of the pod network."""
        return self.folder / "cni"


def containerd(node: Node, plugins: Path, *, restrict_oom_score: bool) -> str:
    """Configuration of containerd.

    Args:
        node: whose.
        plugins: folder of the CNI plugins.
        restrict_oom_score: give no container a lower OOM score than containerd's: needed without CAP_SYS_RESOURCE.
    """
    return f"""version = 2
root = "{node.folder / "containerd"}"
state = "{node.run / "containerd"}"

[grpc]
  address = "{node.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{node.folder / "opt"}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  restrict_oom_score_adj = {str(restrict_oom_score).lower()}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{node.cni}"
"""


def pod_network(node: Node) -> str:
    """A point-to-point link per pod: all traffic is routed, so the firewall sees that between two pods too."""
    ranges = [[{"subnet": str(node.plan.pods)}]]
    routes = [{"dst": "0.0.0.0/0"}]
    addresses = {"type": "host-local", "dataDir": str(node.folder / "addresses"), "ranges": ranges, "routes": routes}
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": node.own, "plugins": plugins}, indent=2)


def kubelet(node: Node) -> str:
    """Configuration of kubelet. It evicts nothing: the machine's disk and memory are not the node's own."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.plan.node,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": node.layout.certificate("ca")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": node.layout.certificate("kubelet"),
            "tlsPrivateKeyFile": node.layout.key("kubelet"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.own}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [node.plan.dns],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{node.socket}",
            "enforceNodeAllocatable": ["pods"],
            "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "healthzBindAddress": "127.0.0.1",
            "podLogsDir": str(node.pod_logs),
            "volumePluginDir": str(node.folder / "volume-plugins"),
            "resolvConf": "",
            "serializeImagePulls": False,
            # Probes and volumes are looked at sooner than the defaults: a person or a test waits for them.
            "syncFrequency": "10s",
        },
        sort_keys=False,
    )


def proxy(node: Node) -> str:
    """Configuration of kube-proxy. It sets none of the machine's limits on tracked connections."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": node.layout.user_config("kube-proxy")},
            "clusterCIDR": str(node.plan.pods),
            "mode": "iptables",
            "hostnameOverride": NODE,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        },
        sort_keys=False,
    )
