"""What reconciliation asks of a cluster. KubeCluster talks to an API server; unit tests have one in memory."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from shimmy_api.names import FIELD_MANAGER
from shimmy_operator.cluster.resources import Manifest, Reference


class Cluster(Protocol):
    """Writes single objects. Every method raises ClusterError; errors.py lists its kinds."""

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object that must not exist yet, and return it as stored.

        Raises:
            AlreadyExistsError: it exists.
        """

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """Make the object have these fields (server-side apply, forced), and return it as stored.

        A field that its manager applies no more goes, unless another manager has it.

        Raises:
            ConflictError: the manifest has a resourceVersion, and the object another one.
        """

    async def read(self, reference: Reference) -> Manifest | None:
        """An object as it is now, or none: for what a watch by label may not show."""

    async def scale(self, reference: Reference, replicas: int, resource_version: str) -> None:
        """Set the number of pods by the subresource `scale`.

        Raises:
            NotFoundError: there is no such object.
            ConflictError: the object has another resourceVersion.
        """

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """The same for its status; `manifest` has metadata (with the resourceVersion) and status.

        Raises:
            NotFoundError: there is no such object.
            ConflictError: the object has changed since, or another one has its name.
        """

    async def annotate(self, reference: Reference, annotations: Mapping[str, str]) -> None:
        """Add or change annotations of an object that exists.

        Raises:
            NotFoundError: there is no such object.
        """

    async def replace_spec(self, manifest: Manifest) -> Manifest:
        """Overwrite the whole spec of an existing object, fields of other managers included."""

    async def delete(self, reference: Reference, uid: str, resource_version: str | None = None) -> None:
        """Delete this very object, and in the background what it owns. Nothing happens if it is gone.

        Raises:
            ConflictError: another object has its name, or it has another than the given resourceVersion.
        """


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind to watch; None means all. Several selections of one kind must not overlap."""

    kind: str
    namespace: str | None = None
    labels: str | None = None
    """Label selector."""
    name: str | None = None
    """The one name of them: then RBAC need not allow more than objects of this name."""

    def covers(self, manifest: Manifest) -> bool:
        """Whether an object of the kind is selected, as far as namespace and name can tell."""
        metadata = manifest["metadata"]
        return self.namespace in (None, metadata.get("namespace")) and self.name in (None, metadata["name"])


@dataclass(frozen=True, slots=True)
class Listing:
    """All selected objects at one moment."""

    items: tuple[Manifest, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change; of a BOOKMARK only the resourceVersion means something."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Manifest


class Watcher(Protocol):
    """Lists and watches collections. Every method raises ClusterError."""

    async def list(self, selection: Selection, /) -> Listing:
        """Everything that is selected."""

    def watch(self, selection: Selection, resource_version: str, /) -> AsyncIterator[WatchEvent]:
        """Changes after `resource_version`, until the server ends the stream.

        Raises:
            ExpiredError: `resource_version` is too old.
        """
