"""Models that share pods, and the way there and back."""

from tests.api import objects

from devkit.cluster import Cluster
from devkit.waiting import until

NS = "shimmy-placed"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NS}/deployments"
SERVICE = f"/api/v1/namespaces/{NS}/services/chat-tiny"


def settle(cluster: Cluster, name: str) -> None:
    """Do what the Deployment controller does once all pods are ready."""
    found = until(lambda: cluster.client.find(f"{DEPLOYMENTS}/{name}"), f"{name} is there", seconds=objects.SECONDS)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), found["spec"]["replicas"])
    status = {"observedGeneration": found["metadata"]["generation"], **counts}
    objects.merge(cluster, f"{DEPLOYMENTS}/{name}/status", {"status": status})


def deployments(cluster: Cluster) -> set[str]:
    return {item["metadata"]["name"] for item in cluster.client.json(DEPLOYMENTS)["items"]}


def test_an_instance_changes_its_placement_and_back_without_a_gap(cluster: Cluster) -> None:
    objects.make_fleet(cluster, "placed")
    chat = objects.path(objects.instance(NS, "chat"))
    own = cluster.client.json(SERVICE)["spec"]["selector"]
    objects.merge(cluster, chat, {"spec": {"placement": "Shared"}})
    until(lambda: len(deployments(cluster)) == 2, "the slots are there", seconds=objects.SECONDS)
    assert cluster.client.json(SERVICE)["spec"]["selector"] == own
    slots = cluster.client.json(f"{DEPLOYMENTS}/chat--slots")
    pod = objects.pod_of(slots, "apps/v1", "Deployment", "admitted")
    cluster.client.json(f"{objects.collection(pod)}?dryRun=All", "POST", pod)
    settle(cluster, "chat--slots")
    until(lambda: deployments(cluster) == {"chat--slots"}, "its own pods went", seconds=objects.SECONDS)
    assert cluster.client.json(SERVICE)["spec"]["selector"] == slots["spec"]["selector"]["matchLabels"]
    objects.merge(cluster, chat, {"spec": {"placement": "Dedicated"}})
    settle(cluster, "chat-tiny")
    until(lambda: deployments(cluster) == {"chat-tiny"}, "the slots went", seconds=objects.SECONDS)
    assert cluster.client.json(SERVICE)["spec"]["selector"] == own
