"""What a development cluster writes down about itself, and its kubeconfig."""

import base64
import json
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml

from devkit.pki import Pair
from devkit.processes import Record

Profile = Literal["api", "cluster", "node", "kind"]
CONTEXT_PREFIX: Final = "shimmy-dev-"
"""Of the kube context of every cluster started here: tests refuse any other."""
_MARKER: Final = "cluster.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The marker file: that a cluster is ours, and how it was started."""

    name: str
    profile: Profile
    host: str
    """Address that the API server listens on."""
    ports: dict[str, int]
    """By process name."""
    service_range: str
    pod_range: str
    durable: bool = False
    """Whether etcd waits for its writes to reach the disk."""
    nodes: int = 0
    """Simulated nodes."""
    gpus: int = 0
    """Of nvidia.com/gpu, on each node."""
    network: int | None = None
    """Number of the real node's private network; None where there is no real node."""
    metrics: bool = False
    """Whether the real node runs metrics-server."""
    owner: Record | None = None
    """The process for whose life the cluster was started; None: until somebody stops it."""

    @property
    def context(self) -> str:
        """Name of its kube context."""
        return f"{CONTEXT_PREFIX}{self.name}"

    @property
    def server(self) -> str:
        """URL of its API server."""
        return f"https://{self.host}:{self.ports['kube-apiserver']}"

    def write(self, folder: Path) -> None:
        """Write the marker into the cluster's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARKER).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The marker in `folder`, or None where there is none."""
        try:
            fields: dict[str, Any] = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        owner = fields.pop("owner")
        return cls(**fields, owner=Record(**owner) if owner else None)


def kubeconfig(context: str, server: str, authority: Path, pair: Pair) -> str:
    """A kubeconfig with everything in it, for one user of one cluster."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": context, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
            ],
            "users": [
                {
                    "name": context,
                    "user": {
                        "client-certificate-data": _base64(pair.certificate),
                        "client-key-data": _base64(pair.key),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        },
        sort_keys=False,
    )


def require_ours(kubeconfig_path: Path) -> State:
    """The state of the development cluster that a kubeconfig points to.

    Raises:
        PermissionError: it points to any other cluster, which tests must never touch.
    """
    config = yaml.safe_load(kubeconfig_path.read_text(encoding="utf-8"))
    state = State.read(kubeconfig_path.parent)
    context = config.get("current-context")
    servers = [cluster["cluster"]["server"] for cluster in config.get("clusters", ())]
    if state is None or context != state.context or servers != [state.server]:
        raise PermissionError(f"{kubeconfig_path}: context {context!r} is no cluster started by hack/cluster")
    return state


def tls(authority: Path, pair: Pair) -> ssl.SSLContext:
    """Settings of a client that shows `pair` and trusts `authority` only."""
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(str(pair.certificate), str(pair.key))
    return context


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
