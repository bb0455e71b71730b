"""A cluster in memory: what reconciliation relies on, held to a real API server by tests/api/test_cluster_contract.py.

It has no schemas, no defaults but that of a Deployment's replicas, and no fields of other managers within a list.
"""

import copy
from collections.abc import Mapping
from typing import Any

from shimmy_api.names import FIELD_MANAGER
from shimmy_operator.cluster.errors import AlreadyExistsError, ConflictError, NotFoundError
from shimmy_operator.cluster.resources import RESOURCES, Manifest, Reference, reference
from shimmy_operator.cluster.store import Store

_SERVER_FIELDS = ("uid", "resourceVersion", "generation")


class FakeCluster:
    """Implements Cluster, and shows everything in a store at once, as a watch would a little later."""

    def __init__(self) -> None:
        self.store = Store()
        self.objects: dict[Reference, Manifest] = {}
        self.writes: list[str] = []
        """Verb and object of every request that changed something."""
        self.events: list[Manifest] = []
        self._applied: dict[tuple[Reference, str], Manifest] = {}
        self._version = 100
        for name in ("default", "shimmy-system"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def put(self, manifest: Manifest) -> Manifest:
        """Have an object, as if a user had made or changed it."""
        key = reference(manifest)
        before = self.objects.get(key)
        generation = 1
        if before is not None:
            generation = before["metadata"]["generation"] + (before.get("spec") != manifest.get("spec"))
        return self._save(key, manifest, generation)

    def drop(self, key: Reference) -> None:
        """Have an object no more, as if a user or the garbage collector had deleted it."""
        gone = self.objects.pop(key)
        self._applied = {known: fields for known, fields in self._applied.items() if known[0] != key}
        self._version += 1
        self.store.remove({**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self._version)}})

    async def create(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] == "Event":
            self.events.append(manifest)
            return manifest
        key = reference(manifest)
        self._require_namespace(key)
        if key in self.objects:
            raise AlreadyExistsError(f"409: {key} already exists")
        self.writes.append(f"create {key}")
        return self._save(key, manifest, 1)

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        key = reference(manifest)
        self._require_namespace(key)
        self._require_version(key, manifest)
        return self._merge(key, manifest, manager)

    async def read(self, reference: Reference) -> Manifest | None:
        return copy.deepcopy(self.objects.get(reference))

    async def scale(self, reference: Reference, replicas: int, resource_version: str) -> None:
        live = self.objects.get(reference)
        if live is None:
            raise NotFoundError(f"404: {reference} not found")
        self._require_version(reference, {"metadata": {"resourceVersion": resource_version}})
        self._applied[reference, "scale"] = {"spec": {"replicas": replicas}}
        self._write("scale", reference, {**live, "spec": {**live["spec"], "replicas": replicas}})

    async def apply_status(self, manifest: Manifest) -> Manifest:
        key = reference(manifest)
        live = self.objects.get(key)
        if live is None:
            raise NotFoundError(f"404: {key} not found")
        self._require_version(key, manifest)
        return self._merge(key, {"status": manifest["status"]}, "status")

    async def annotate(self, reference: Reference, annotations: Mapping[str, str]) -> None:
        live = self.objects.get(reference)
        if live is None:
            raise NotFoundError(f"404: {reference} not found")
        metadata = live["metadata"]
        changed = {**metadata, "annotations": {**(metadata.get("annotations") or {}), **annotations}}
        self._write("annotate", reference, {**live, "metadata": changed})

    async def replace_spec(self, manifest: Manifest) -> Manifest:
        key = reference(manifest)
        return self._write("replace", key, {**self.objects[key], "spec": copy.deepcopy(manifest["spec"])})

    async def delete(self, reference: Reference, uid: str, resource_version: str | None = None) -> None:
        live = self.objects.get(reference)
        if live is None:
            return
        if live["metadata"]["uid"] != uid:
            raise ConflictError(f"409: {reference} has another uid")
        if resource_version not in (None, live["metadata"]["resourceVersion"]):
            raise ConflictError(f"409: {reference} has changed")
        self.writes.append(f"delete {reference}")
        self.drop(reference)

    def _require_version(self, key: Reference, manifest: Manifest) -> None:
        live = self.objects.get(key, {"metadata": {}})["metadata"].get("resourceVersion")
        if manifest["metadata"].get("resourceVersion", live) != live:
            raise ConflictError(f"409: {key} has changed")

    def _require_namespace(self, key: Reference) -> None:
        namespaced = RESOURCES[key.kind].namespaced
        if namespaced and Reference("Namespace", None, str(key.namespace)) not in self.objects:
            raise NotFoundError(f"404: namespace {key.namespace} not found")

    def _merge(self, key: Reference, manifest: Manifest, part: str) -> Manifest:
        fields = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")}
        if "metadata" in fields:
            fields["metadata"] = {k: v for k, v in fields["metadata"].items() if k != "resourceVersion"}
        live = self.objects.get(key, {"apiVersion": RESOURCES[key.kind].api_version, "kind": key.kind})
        before = self._applied.get((key, part), {})
        self._applied[key, part] = copy.deepcopy(fields)
        others = [known for (whose, of), known in self._applied.items() if whose == key and of != part]
        merged = _merged(live, before, fields, others)
        if key.kind == "Deployment":
            merged["spec"].setdefault("replicas", 1)
        return self._write("apply", key, merged)

    def _write(self, verb: str, key: Reference, wanted: Manifest) -> Manifest:
        live = self.objects.get(key)
        if live == wanted:
            return copy.deepcopy(live)
        self.writes.append(f"{verb} {key}")
        changed = live is not None and live.get("spec") != wanted.get("spec")
        generation = live["metadata"]["generation"] + changed if live else 1
        return self._save(key, wanted, generation)

    def _save(self, key: Reference, manifest: Manifest, generation: int) -> Manifest:
        before = self.objects.get(key)
        self._version += 1
        uid = before["metadata"]["uid"] if before else f"uid-{self._version}"
        values = (uid, str(self._version), generation)
        metadata = {**manifest["metadata"], **dict(zip(_SERVER_FIELDS, values, strict=True))}
        saved = copy.deepcopy({**manifest, "metadata": metadata})
        self.objects[key] = saved
        self.store.put(copy.deepcopy(saved))
        return copy.deepcopy(saved)


def _merged(live: Any, before: Any, wanted: Any, others: list[Any]) -> Any:
    """`live` with all of `wanted`, and without what only `before` has."""
    if not isinstance(wanted, dict):
        return copy.deepcopy(wanted)
    old = live if isinstance(live, dict) else {}
    applied = before if isinstance(before, dict) else {}
    shared = [other for other in others if isinstance(other, dict)]
    kept = {
        key: value
        for key, value in old.items()
        if key in wanted or key not in applied or any(key in other for other in shared)
    }
    return kept | {
        key: _merged(old.get(key), applied.get(key), value, [other.get(key) for other in shared])
        for key, value in wanted.items()
    }
