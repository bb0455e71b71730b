"""The profile itself does what Kubernetes does, so that what is tested on it means something."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from devkit.cluster import Cluster
from devkit.waiting import until

IMAGE = "example.invalid/none:1"
SECONDS = 30


@pytest.fixture
def namespace(simulated_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name.replace("_", "-")[:40].strip("-")
    simulated_cluster.kubectl("create", "namespace", name)
    yield name
    simulated_cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def deployment(replicas: int, gpus: int) -> str:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}, "requests": {"cpu": "10m", "memory": "16Mi"}}
    template = {
        "metadata": {"labels": {"app": "gpu"}},
        "spec": {"containers": [{"name": "c", "image": IMAGE, "resources": resources}]},
    }
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "gpu"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "gpu"}}, "template": template},
        }
    )


def pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = cluster.client.json(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return items


def test_pods_run_only_where_gpus_are_left(simulated_cluster: Cluster, namespace: str) -> None:
    simulated_cluster.kubectl("apply", "-n", namespace, "-f", "-", standard_input=deployment(replicas=3, gpus=8))

    def settled() -> bool:
        phases = sorted(pod["status"]["phase"] for pod in pods(simulated_cluster, namespace))
        return phases == ["Pending", "Running", "Running"]

    until(settled, "two of three pods run on the two nodes", seconds=SECONDS)
    waiting = next(p for p in pods(simulated_cluster, namespace) if p["status"]["phase"] == "Pending")
    assert "Insufficient nvidia.com/gpu" in waiting["status"]["conditions"][0]["message"]


def test_quota_bounds_the_gpus_of_a_namespace(simulated_cluster: Cluster, namespace: str) -> None:
    quota = "--hard=requests.nvidia.com/gpu=2"
    simulated_cluster.kubectl("create", "quota", "gpus", "-n", namespace, quota)
    simulated_cluster.kubectl("apply", "-n", namespace, "-f", "-", standard_input=deployment(replicas=4, gpus=1))

    def refused() -> bool:
        path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        status = simulated_cluster.client.json(path)["items"]
        return any("exceeded quota" in c.get("message", "") for s in status for c in s["status"].get("conditions", ()))

    until(refused, "the replica set is refused more pods", seconds=SECONDS)
    assert len(pods(simulated_cluster, namespace)) == 2


def test_a_deleted_namespace_goes_with_all_that_is_in_it(simulated_cluster: Cluster, namespace: str) -> None:
    simulated_cluster.kubectl("apply", "-n", namespace, "-f", "-", standard_input=deployment(replicas=1, gpus=1))
    until(lambda: pods(simulated_cluster, namespace), "the pod is there", seconds=SECONDS)

    simulated_cluster.kubectl("delete", "namespace", namespace, "--wait=false")

    path = f"/api/v1/namespaces/{namespace}"
    until(lambda: simulated_cluster.client.find(path) is None, "the namespace is gone", seconds=SECONDS)


def test_what_an_owner_owned_goes_with_it(simulated_cluster: Cluster, namespace: str) -> None:
    simulated_cluster.kubectl("apply", "-n", namespace, "-f", "-", standard_input=deployment(replicas=1, gpus=1))
    until(lambda: pods(simulated_cluster, namespace), "the pod is there", seconds=SECONDS)

    simulated_cluster.kubectl("delete", "deployment", "gpu", "-n", namespace)

    until(lambda: not pods(simulated_cluster, namespace), "the pod is gone", seconds=SECONDS)
