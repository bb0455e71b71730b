from pathlib import Path

import yaml

from devkit.cluster import State
from devkit.cluster.control_plane import Layout
from devkit.cluster.kind import runtime
from devkit.cluster.node import images

STATE = State(
    name="a",
    profile="kind",
    host="127.0.0.1",
    ports={"kube-apiserver": 20000},
    service_range="10.96.0.0/16",
    pod_range="10.244.0.0/16",
)
LAYOUT = Layout(Path("/cache/clusters/a"))


def test_kind_listens_where_the_state_says() -> None:
    networking = runtime.configuration(STATE, LAYOUT)["networking"]

    assert f"https://{networking['apiServerAddress']}:{networking['apiServerPort']}" == STATE.server


def test_the_audit_log_reaches_the_clusters_folder() -> None:
    (node,) = runtime.configuration(STATE, LAYOUT)["nodes"]
    api_server = yaml.safe_load(node["kubeadmConfigPatches"][0])["apiServer"]
    inside = Path(api_server["extraArgs"]["audit-log-path"])

    # Two steps: from the API server's container to the node, and from the node to this machine.
    assert {"name": "audit-logs", "hostPath": str(inside.parent), "mountPath": str(inside.parent)} in api_server[
        "extraVolumes"
    ]
    mounts = {mount["containerPath"]: mount["hostPath"] for mount in node["extraMounts"]}
    assert Path(mounts[str(inside.parent)]) / inside.name == LAYOUT.audit_log
    assert mounts[api_server["extraArgs"]["audit-policy-file"]] == str(LAYOUT.audit_policy)


def test_images_are_listed_by_the_names_that_pods_use() -> None:
    listed = ["docker.io/library/a:1", "sha256:0f", "import-2026-01-01@sha256:0f"]

    assert images.names(listed) == ["docker.io/library/a:1"]
