"""From three objects to everything that serves them."""

from tests.api import objects

from devkit.cluster import Cluster
from shimmy_api import names


def test_a_tenant_a_model_and_an_instance_become_ready(cluster: Cluster) -> None:
    tenant = objects.create(cluster, objects.tenant("acme", quota={"gpus": 2, "memory": "1024Mi"}))
    found = objects.wait_reason(cluster, tenant, "Provisioned")
    assert found["status"]["namespace"] == "shimmy-acme"
    namespace = "shimmy-acme"
    objects.create(cluster, objects.claim(namespace, "models"))
    model = objects.create(cluster, objects.model(namespace, "tiny", "pvc://models/tiny.gguf"))
    objects.finish_check(cluster, namespace, "tiny", objects.RESULT)
    objects.wait_reason(cluster, model, "Checked")
    instance = objects.create(cluster, objects.instance(namespace, "chat", "tiny"))
    objects.wait_reason(cluster, instance, "Loading")
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/chat-tiny"
    objects.merge(cluster, f"{deployment}/status", {"status": {"replicas": 1, "readyReplicas": 1}})
    found = objects.wait_reason(cluster, instance, "Serving")
    assert found["status"]["models"][0]["state"] == "Ready"


def test_a_model_may_have_dots_in_its_name(cluster: Cluster) -> None:
    objects.wait_reason(cluster, objects.create(cluster, objects.tenant("dotted")), "Provisioned")
    namespace, name = "shimmy-dotted", "llama-3.2-1b"
    objects.create(cluster, objects.claim(namespace, "models"))
    model = objects.create(cluster, objects.model(namespace, name, "pvc://models/llama.gguf"))
    objects.finish_check(cluster, namespace, name, objects.RESULT)
    objects.wait_reason(cluster, model, "Checked")
    objects.wait_reason(cluster, objects.create(cluster, objects.instance(namespace, "chat", name)), "Loading")
    assert cluster.client.find(f"/api/v1/namespaces/{namespace}/services/{names.serving('chat', name)}")


def test_engine_pods_are_admitted_by_the_namespaces_pod_security(cluster: Cluster) -> None:
    namespace = objects.make_fleet(cluster, "admitted")
    deployment = cluster.client.json(f"/apis/apps/v1/namespaces/{namespace}/deployments/chat-tiny")
    pod = objects.pod_of(deployment, "apps/v1", "Deployment", "admitted")
    cluster.client.json(f"{objects.collection(pod)}?dryRun=All", "POST", pod)
