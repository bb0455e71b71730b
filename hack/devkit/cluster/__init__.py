"""Development clusters: a real Kubernetes in three profiles on one code path.

`api` is etcd and kube-apiserver; `cluster` adds the controllers, the scheduler and simulated nodes with GPUs; `node`
adds a real node on this machine. Tests use `start`, people use `hack/cluster`.
"""

from devkit.cluster.client import ApiError, Client
from devkit.cluster.cluster import Cluster, ClusterError
from devkit.cluster.lifecycle import remove_orphans, running, start
from devkit.cluster.removal import stop
from devkit.cluster.state import CONTEXT_PREFIX, Profile, State, require_ours

__all__ = [
    "CONTEXT_PREFIX",
    "ApiError",
    "Client",
    "Cluster",
    "ClusterError",
    "Profile",
    "State",
    "remove_orphans",
    "require_ours",
    "running",
    "start",
    "stop",
]
