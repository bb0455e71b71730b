"""What does not work says so, harms nothing, and recovers when its cause is gone."""

import json

from tests.api import objects

from devkit.cluster import Cluster
from devkit.waiting import until


def provisioned(cluster: Cluster, name: str) -> str:
    objects.wait_reason(cluster, objects.create(cluster, objects.tenant(name)), "Provisioned")
    return f"shimmy-{name}"


def message(manifest: objects.Manifest) -> str:
    return str(manifest["status"]["conditions"][0]["message"])


def test_a_namespace_that_is_not_ours_stays_untouched_until_it_is_handed_over(cluster: Cluster) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foreign"}}
    before = objects.create(cluster, namespace)
    tenant = objects.create(cluster, objects.tenant("intruder", namespace="foreign"))
    found = objects.wait_reason(cluster, tenant, "NamespaceNotOurs")
    assert "kubectl label namespace foreign shimmy.dev/tenant=intruder" in message(found)
    after = cluster.client.json("/api/v1/namespaces/foreign")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert cluster.client.json("/api/v1/namespaces/foreign/resourcequotas")["items"] == []
    assert cluster.client.find("/api/v1/namespaces/shimmy-system/secrets/shimmy-keys-intruder") is None
    objects.merge(cluster, "/api/v1/namespaces/foreign", {"metadata": {"labels": {"shimmy.dev/tenant": "intruder"}}})
    objects.wait_reason(cluster, tenant, "Provisioned")


def test_a_model_waits_for_its_claim(cluster: Cluster) -> None:
    namespace = provisioned(cluster, "claims")
    model = objects.create(cluster, objects.model(namespace, "tiny", "pvc://models/tiny.gguf"))
    objects.wait_reason(cluster, model, "ClaimNotFound")
    objects.create(cluster, objects.claim(namespace, "models"))
    objects.wait_reason(cluster, model, "Checking")


def test_a_file_with_another_checksum_is_refused_and_checked_again_when_the_job_is_deleted(cluster: Cluster) -> None:
    namespace = provisioned(cluster, "sums")
    objects.create(cluster, objects.claim(namespace, "models"))
    model = objects.create(cluster, objects.model(namespace, "tiny", "pvc://models/tiny.gguf", sha256="b" * 64))
    refusal = {"reason": "ChecksumMismatch", "message": "tiny.gguf has 42 bytes and sha256 cccc, not bbbb"}
    objects.finish_check(cluster, namespace, "tiny", json.dumps(refusal), code=1)
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    job = cluster.client.json(jobs)["items"][0]["metadata"]["name"]
    advice = f"kubectl delete job {job}"
    until(
        lambda: advice in message(objects.wait_reason(cluster, model, "ChecksumMismatch")),
        "the condition says what to do",
        seconds=objects.SECONDS,
    )
    found = cluster.client.json(objects.path(model))
    assert "42 bytes" in message(found)
    assert "artifact" not in found["status"]
    pod = cluster.client.json(f"/api/v1/namespaces/{namespace}/pods")["items"][0]["metadata"]["name"]
    cluster.client.json(f"/api/v1/namespaces/{namespace}/pods/{pod}?gracePeriodSeconds=0", "DELETE")
    background = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    cluster.client.json(f"{jobs}/{job}", "DELETE", background)
    objects.wait_reason(cluster, model, "Checking")


def test_an_instance_waits_for_its_model_and_is_not_rendered_before(cluster: Cluster) -> None:
    namespace = provisioned(cluster, "waits")
    instance = objects.create(cluster, objects.instance(namespace, "chat", "tiny"))
    found = objects.wait_reason(cluster, instance, "Waiting")
    assert "ShimmyModel tiny does not exist" in message(found)
    assert cluster.client.json(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"] == []


def test_objects_outside_a_tenants_namespace_are_told_so(cluster: Cluster) -> None:
    model = objects.create(cluster, objects.model("default", "lost", "pvc://models/tiny.gguf"))
    objects.wait_reason(cluster, model, "NoTenant")


def test_a_key_that_is_taken_out_of_the_spec_is_revoked(cluster: Cluster) -> None:
    keys = [{"name": "default"}, {"name": "second"}]
    tenant = objects.create(cluster, objects.tenant("keys", keys=keys))
    objects.wait_reason(cluster, tenant, "Provisioned")
    mirror = "/api/v1/namespaces/shimmy-system/secrets/shimmy-keys-keys"
    before = cluster.client.json(mirror)["data"]
    assert set(before) == {"engineToken", "key.default", "key.second"}
    objects.merge(cluster, objects.path(tenant), {"spec": {"keys": [{"name": "default"}]}})
    gone = "/api/v1/namespaces/shimmy-keys/secrets/shimmy-key-second"
    until(lambda: cluster.client.find(gone) is None, "the key is revoked", seconds=5)
    until(lambda: "key.second" not in cluster.client.json(mirror)["data"], "the mirror lost it", seconds=5)
    after = cluster.client.json(mirror)["data"]
    assert after == {name: value for name, value in before.items() if name != "key.second"}


def test_a_bound_that_is_taken_out_of_a_quota_is_gone(cluster: Cluster) -> None:
    tenant = objects.create(cluster, objects.tenant("bounds", quota={"gpus": 2, "memory": "1024Mi"}))
    objects.wait_reason(cluster, tenant, "Provisioned")
    quota = "/api/v1/namespaces/shimmy-bounds/resourcequotas/shimmy-quota"
    assert cluster.client.json(quota)["spec"]["hard"] == {"requests.nvidia.com/gpu": "2", "requests.memory": "1Gi"}
    objects.merge(cluster, objects.path(tenant), {"spec": {"quota": {"memory": None}}})
    left = {"requests.nvidia.com/gpu": "2"}
    until(lambda: cluster.client.json(quota)["spec"]["hard"] == left, "the bound is gone", seconds=5)


def test_a_model_that_leaves_an_instance_takes_its_pods_along(cluster: Cluster) -> None:
    namespace = provisioned(cluster, "leaves")
    objects.create(cluster, objects.claim(namespace, "models"))
    for name in ("one", "two"):
        objects.create(cluster, objects.model(namespace, name, f"pvc://models/{name}.gguf"))
        objects.finish_check(cluster, namespace, name, objects.RESULT)
    instance = objects.create(cluster, objects.instance(namespace, "chat", "one", "two"))
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    until(lambda: len(cluster.client.json(deployments)["items"]) == 2, "both are served", seconds=objects.SECONDS)
    objects.merge(cluster, objects.path(instance), {"spec": {"models": ["two"]}})

    def left() -> bool:
        return [item["metadata"]["name"] for item in cluster.client.json(deployments)["items"]] == ["chat-two"]

    until(left, "one of them went", seconds=5)


def test_no_object_gets_a_finalizer_or_an_annotation(cluster: Cluster) -> None:
    tenant = objects.create(cluster, objects.tenant("plain"))
    metadata = objects.wait_reason(cluster, tenant, "Provisioned")["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata
