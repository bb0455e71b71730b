"""What is known of the cluster: every watched object, as it was last seen or written."""

from collections.abc import Callable, Iterable, Iterator

from shimmy_operator.cluster.port import Selection
from shimmy_operator.cluster.resources import Manifest, Reference, reference

Listener = Callable[[Manifest], None]


class Store:
    """Objects by kind, namespace and name.

    Answers of own writes are put in as well, so that a reconciliation that starts before the watch tells of them does
    not write them again. What is older than what is known is ignored: resourceVersions of one kind grow
    (KEP-5504 makes comparing them official; etcd has always counted up).
    """

    def __init__(self) -> None:
        self._objects: dict[str, dict[str | None, dict[str, Manifest]]] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every object that changes or goes."""
        self._listeners.append(listener)

    def get(self, kind: str, namespace: str | None, name: str) -> Manifest | None:
        """One object."""
        return self._objects.get(kind, {}).get(namespace, {}).get(name)

    def find(self, reference: Reference) -> Manifest | None:
        """One object."""
        return self.get(reference.kind, reference.namespace, reference.name)

    def all(self, kind: str) -> Iterator[Manifest]:
        """All objects of a kind, in every namespace."""
        for by_name in list(self._objects.get(kind, {}).values()):
            yield from list(by_name.values())

    def within(self, kind: str, namespace: str) -> list[Manifest]:
        """All objects of a kind in one namespace."""
        return list(self._objects.get(kind, {}).get(namespace, {}).values())

    def put(self, manifest: Manifest) -> None:
        """Remember an object that was seen or written."""
        manifest = _slim(manifest)
        key = reference(manifest)
        before = self.find(key)
        if before is not None and _version(manifest) <= _version(before):
            return
        self._objects.setdefault(key.kind, {}).setdefault(key.namespace, {})[key.name] = manifest
        self._tell(manifest)

    def remove(self, manifest: Manifest) -> None:
        """Forget an object whose deletion was seen."""
        before = self.find(reference(manifest))
        if before is not None and _version(before) <= _version(manifest):
            self._forget(before)

    def replace(self, selection: Selection, items: Iterable[Manifest], resource_version: str) -> None:
        """Take over the full list of a selection: what is not in it was deleted while nobody watched."""
        listed = {reference(item): item for item in items}
        for manifest in filter(selection.covers, self.all(selection.kind)):
            if reference(manifest) not in listed and _version(manifest) <= int(resource_version):
                self._forget(manifest)
        for item in listed.values():
            self.put(item)

    def _forget(self, manifest: Manifest) -> None:
        key = reference(manifest)
        by_namespace = self._objects[key.kind]
        del by_namespace[key.namespace][key.name]
        if not by_namespace[key.namespace]:
            del by_namespace[key.namespace]
        self._tell(manifest)

    def _tell(self, manifest: Manifest) -> None:
        for listener in self._listeners:
            listener(manifest)


def _version(manifest: Manifest) -> int:
    return int(manifest["metadata"]["resourceVersion"])


def _slim(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}
