"""A cluster in memory in which tests reconcile."""

from datetime import UTC, datetime
from typing import Any, Final

from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.samples import CONTEXT

from shimmy_api import names
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.dispatch import reconcile
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.relations import Relations

TENANT: Final = Reference("ShimmyTenant", None, "acme")
NS: Final = "shimmy-acme"
MODEL: Final = Reference("ShimmyModel", NS, "tiny")
INSTANCE: Final = Reference("ShimmyInstance", NS, "chat")
RESULT: Final = {
    "sha256": "a" * 64,
    "sizeBytes": 10,
    "architecture": "llama",
    "quantization": "Q4_1",
    "contextLength": 2048,
    "parameters": 5,
}


class Bench:
    """A cluster, an environment, and a clock that tests turn."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.delays: list[float] = []
        self.environment = Environment(
            cluster=self.cluster,
            store=self.cluster.store,
            relations=Relations(self.cluster.store),
            settings=CONTEXT,
            clock=lambda: self.time,
            later=lambda _, seconds: self.delays.append(seconds),
        )

    def put(self, key: Reference, spec: dict[str, Any]) -> None:
        metadata = {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {})
        live = self.cluster.objects.get(key, {})
        fresh = {"apiVersion": names.API_VERSION, "kind": key.kind, "metadata": metadata, "spec": spec}
        self.cluster.put({**live, **fresh})

    async def run(self, *keys: Reference) -> None:
        for key in keys:
            await reconcile(self.environment, key)

    def ready(self, key: Reference) -> tuple[str, str]:
        condition = self.cluster.objects[key]["status"]["conditions"][0]
        return condition["status"], condition["reason"]

    def child(self, kind: str, name: str, namespace: str | None = NS) -> Manifest:
        return self.cluster.objects[Reference(kind, namespace, name)]

    def kinds(self) -> list[str]:
        return sorted(key.kind for key in self.cluster.objects if key.kind != "Namespace")


def finish(bench: Bench, code: int, message: str, model: str = "tiny") -> None:
    """Let the fetch Job of a model end."""
    prefix = f"shimmy-fetch-{model}-"
    key = next(key for key in bench.cluster.objects if key.kind == "Job" and key.name.startswith(prefix))
    job = bench.cluster.objects[key]
    owner = {"kind": "Job", "name": key.name, "uid": job["metadata"]["uid"]}
    state = {"terminated": {"exitCode": code, "message": message}}
    metadata = {"name": f"{key.name}-0", "namespace": NS, "ownerReferences": [owner]}
    status = {"containerStatuses": [{"ready": False, "state": state}]}
    bench.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})
    done = {"conditions": [{"type": "Failed" if code else "Complete", "status": "True"}]}
    bench.cluster.put({**job, "status": done})
