"""Objects that tests make, and the parts of controllers that the profile `api` does not have."""

import json
from typing import Any, Final

from devkit.cluster import Cluster
from devkit.waiting import until
from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_operator.render.location import spec_digest

Manifest = dict[str, Any]
GROUP: Final = "/apis/shimmy.dev/v1alpha1"
SECONDS: Final = 15.0


def tenant(name: str, **spec: Any) -> Manifest:
    return {"apiVersion": "shimmy.dev/v1alpha1", "kind": "ShimmyTenant", "metadata": {"name": name}, "spec": spec}


def model(namespace: str, name: str, source: str, **gguf: Any) -> Manifest:
    return {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backend": {"gguf": {"source": source, **gguf}}},
    }


def instance(namespace: str, name: str, *models: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyInstance",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"models": list(models), **spec},
    }


def claim(namespace: str, name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def collection(manifest: Manifest) -> str:
    """Path of the collection that a manifest belongs to."""
    version = manifest["apiVersion"]
    root = "/apis" if "/" in version else "/api"
    namespace = manifest["metadata"].get("namespace")
    within = f"/namespaces/{namespace}" if namespace else ""
    kind = manifest["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"{root}/{version}{within}/{plural}"


def path(manifest: Manifest) -> str:
    return f"{collection(manifest)}/{manifest['metadata']['name']}"


def create(cluster: Cluster, manifest: Manifest) -> Manifest:
    found: Manifest = cluster.client.json(collection(manifest), "POST", manifest)
    return found


def merge(cluster: Cluster, at: str, patch: Manifest) -> Manifest:
    found: Manifest = cluster.client.json(at, "PATCH", patch, "application/merge-patch+json")
    return found


def wait_reason(cluster: Cluster, manifest: Manifest, reason: str) -> Manifest:
    """Wait until the condition Ready has a reason."""
    seen: list[Any] = []

    def look() -> Manifest | None:
        found: Manifest | None = cluster.client.find(path(manifest))
        conditions = (found or {}).get("status", {}).get("conditions") or []
        seen[:] = conditions
        return found if any(condition["reason"] == reason for condition in conditions) else None

    try:
        return until(look, f"{path(manifest)} is {reason}", seconds=SECONDS)
    except TimeoutError as error:
        raise AssertionError(f"{error}; it has {seen}") from None


def finish_check(cluster: Cluster, namespace: str, name: str, message: str, *, code: int = 0) -> None:
    """Do what the Job controller and the kubelet do: a pod that ended, and a Job that is done."""
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def job_of_model() -> Manifest | None:
        label = f"labelSelector=shimmy.dev%2Fmodel%3D{names.bounded(name)}"
        items: list[Manifest] = cluster.client.json(f"{jobs}?{label}")["items"]
        return next((item for item in items if "deletionTimestamp" not in item["metadata"]), None)

    job = until(job_of_model, f"a Job checks {name}", seconds=SECONDS)
    pod = pod_of(job, "batch/v1", "Job", f"{job['metadata']['name']}-pod")
    create(cluster, pod)
    ended = {"exitCode": code, "message": message, "reason": "Completed" if code == 0 else "Error"}
    status = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [
            {
                "name": "fetch",
                "image": "x",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": ended},
            }
        ],
    }
    merge(cluster, f"{path(pod)}/status", {"status": status})
    now = "2026-01-01T00:00:00Z"
    types = ("SuccessCriteriaMet", "Complete") if code == 0 else ("FailureTarget", "Failed")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in types]
    done: Manifest = {"startTime": now, "conditions": conditions, "uncountedTerminatedPods": {}}
    done |= {"completionTime": now, "succeeded": 1} if code == 0 else {"failed": 1}
    merge(cluster, f"{jobs}/{job['metadata']['name']}/status", {"status": done})


def pod_of(owner: Manifest, api_version: str, kind: str, name: str) -> Manifest:
    """A pod as the controller of `owner` makes it."""
    template = owner["spec"]["template"]
    metadata = owner["metadata"]
    reference = {"apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [reference],
        },
        "spec": template["spec"],
    }


RESULT: Final = (
    '{"sha256":"' + "a" * 64 + '","sizeBytes":1000000,"architecture":"llama","quantization":"Q4_1",'
    '"contextLength":2048,"parameters":135000000}'
)


def make_fleet(cluster: Cluster, name: str) -> str:
    """A tenant with a model and an instance, all ready; returns its namespace."""
    namespace = f"shimmy-{name}"
    wait_reason(cluster, create(cluster, tenant(name)), "Provisioned")
    create(cluster, claim(namespace, "models"))
    tiny = create(cluster, model(namespace, "tiny", "pvc://models/tiny.gguf"))
    finish_check(cluster, namespace, "tiny", RESULT)
    wait_reason(cluster, tiny, "Checked")
    chat = create(cluster, instance(namespace, "chat", "tiny"))
    wait_reason(cluster, chat, "Loading")
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/chat-tiny"
    merge(cluster, f"{deployment}/status", {"status": {"replicas": 1, "readyReplicas": 0}})
    merge(cluster, f"{deployment}/status", {"status": {"replicas": 1, "readyReplicas": 1}})
    wait_reason(cluster, chat, "Serving")
    return namespace


def checked_model(cluster: Cluster, namespace: str, name: str) -> Manifest:
    """A model whose file counts as checked, for clusters that check none, on a volume that the scheduler finds.

    The operator may write the status at the same time, so that it is written until it is there.
    """
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/models"},
        "storageClassName": "",
        "claimRef": {"namespace": namespace, "name": "models"},
    }
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "models"}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", standard_input=json.dumps(volume))
    # After its volume: Kubernetes binds it at once then, and within 15 s otherwise.
    claim_, bound = claim(namespace, "models"), {"storageClassName": "", "volumeName": "models"}
    create(cluster, claim_ | {"spec": claim_["spec"] | bound})
    made = create(cluster, model(namespace, name, f"pvc://models/{name}.gguf"))
    digest = spec_digest(ShimmyModelSpec.model_validate(made["spec"]))
    artifact = json.loads(RESULT) | {"specDigest": digest, "claimName": "models", "path": f"{name}.gguf"}

    def put() -> bool:
        found: Manifest = cluster.client.json(path(made))
        if (found.get("status") or {}).get("artifact"):
            return True
        merge(cluster, f"{path(made)}/status", {"status": {"artifact": artifact}})
        return False

    until(put, f"{name} counts as checked", seconds=SECONDS)
    return made
