"""Command lines of the control plane's processes. Pure: from a cluster's state to arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devkit.cluster.state import State


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a cluster keeps its files."""

    folder: Path

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.folder / "pki"

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster's administrator."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """JSON lines of audit.k8s.io/v1 events."""
        return self.folder / "logs" / "audit.jsonl"

    @property
    def audit_policy(self) -> Path:
        """What is written to the audit log."""
        return self.folder / "audit-policy.yaml"

    @property
    def etcd_data(self) -> Path:
        """Data folder of etcd."""
        return self.folder / "etcd"

    def certificate(self, name: str) -> str:
        """The certificate of `name`."""
        return str(self.pki / f"{name}.crt")

    def key(self, name: str) -> str:
        """The key of `name`."""
        return str(self.pki / f"{name}.key")

    def user_config(self, name: str) -> str:
        """The kubeconfig of the component `name`."""
        return str(self.folder / f"{name}.kubeconfig")


def etcd(state: State, layout: Layout) -> list[str]:
    """One etcd member on loopback. Everybody must show a certificate: who can write here is the administrator."""
    client = f"https://127.0.0.1:{state.ports['etcd']}"
    peer = f"https://127.0.0.1:{state.ports['etcd-peer']}"
    return flags(
        name="shimmy-dev",
        data_dir=layout.etcd_data,
        listen_client_urls=client,
        advertise_client_urls=client,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"shimmy-dev={peer}",
        trusted_ca_file=layout.certificate("ca"),
        cert_file=layout.certificate("etcd"),
        key_file=layout.key("etcd"),
        client_cert_auth=True,
        peer_trusted_ca_file=layout.certificate("ca"),
        peer_cert_file=layout.certificate("etcd"),
        peer_key_file=layout.key("etcd"),
        peer_client_cert_auth=True,
        log_level="warn",
        unsafe_no_fsync=not state.durable,
    )


def api_server(state: State, layout: Layout) -> list[str]:
    """The API server, with the aggregation layer and an audit log."""
    return flags(
        etcd_servers=f"https://127.0.0.1:{state.ports['etcd']}",
        etcd_cafile=layout.certificate("ca"),
        etcd_certfile=layout.certificate("etcd"),
        etcd_keyfile=layout.key("etcd"),
        bind_address=state.host,
        advertise_address=state.host,
        secure_port=state.ports["kube-apiserver"],
        tls_cert_file=layout.certificate("kube-apiserver"),
        tls_private_key_file=layout.key("kube-apiserver"),
        client_ca_file=layout.certificate("ca"),
        kubelet_client_certificate=layout.certificate("kubelet-client"),
        kubelet_client_key=layout.key("kubelet-client"),
        kubelet_preferred_address_types="InternalIP",
        requestheader_client_ca_file=layout.certificate("front-proxy-ca"),
        requestheader_allowed_names="front-proxy-client",
        requestheader_username_headers="X-Remote-User",
        requestheader_group_headers="X-Remote-Group",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        proxy_client_cert_file=layout.certificate("front-proxy-client"),
        proxy_client_key_file=layout.key("front-proxy-client"),
        enable_aggregator_routing=True,
        service_account_issuer="https://kubernetes.default.svc",
        service_account_key_file=layout.key("service-account"),
        service_account_signing_key_file=layout.key("service-account"),
        service_cluster_ip_range=state.service_range,
        authorization_mode="Node,RBAC",
        allow_privileged=True,
        anonymous_auth=False,
        audit_policy_file=layout.audit_policy,
        audit_log_path=layout.audit_log,
        audit_log_maxsize=1024,
        audit_log_maxbackup=1,
        profiling=False,
    )


def controller_manager(state: State, layout: Layout) -> list[str]:
    """Every controller. The request rates are raised: a development cluster has no neighbours to spare."""
    config = layout.user_config("kube-controller-manager")
    return flags(
        kubeconfig=config,
        authentication_kubeconfig=config,
        authorization_kubeconfig=config,
        bind_address="127.0.0.1",
        secure_port=state.ports["kube-controller-manager"],
        leader_elect=False,
        use_service_account_credentials=True,
        service_account_private_key_file=layout.key("service-account"),
        root_ca_file=layout.certificate("ca"),
        cluster_signing_cert_file=layout.certificate("ca"),
        cluster_signing_key_file=layout.key("ca"),
        allocate_node_cidrs=True,
        cluster_cidr=state.pod_range,
        node_cidr_mask_size=24,
        service_cluster_ip_range=state.service_range,
        kube_api_qps=300,
        kube_api_burst=600,
        profiling=False,
    )


def scheduler(state: State, layout: Layout) -> list[str]:
    """The default scheduler."""
    config = layout.user_config("kube-scheduler")
    return flags(
        kubeconfig=config,
        authentication_kubeconfig=config,
        authorization_kubeconfig=config,
        bind_address="127.0.0.1",
        secure_port=state.ports["kube-scheduler"],
        leader_elect=False,
        kube_api_qps=300,
        kube_api_burst=600,
        profiling=False,
    )


def server_hosts(state: State) -> Sequence[str]:
    """Every name and address that the API server is reached by."""
    first = state.service_range.split("/")[0].rpartition(".")[0] + ".1"
    domains = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    return tuple(dict.fromkeys(("localhost", *domains, "127.0.0.1", state.host, first)))


def flags(**values: Any) -> list[str]:
    """`--long-name=value` for each; booleans in the lower case that Go's flag packages read."""
    return [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]
