"""What can be measured: something that holds a request while it starts a pod."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from devkit.bench.wake.moments import Target
from devkit.cluster import Cluster


class UnavailableError(Exception):
    """A subject cannot be run on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One that is held until a pod answers it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    """Sent as JSON by POST; without one the request is a GET."""


class Subject(Protocol):
    """One project with one set of settings. Each has a new cluster, which is removed afterwards."""

    @property
    def title(self) -> str:
        """For the table."""

    @property
    def target(self) -> Target:
        """What it wakes."""

    def prepare(self) -> None:
        """Build what it needs, before there is a cluster.

        Raises:
            UnavailableError: it cannot be run here.
        """

    def start(self, cluster: Cluster) -> Request:
        """Install it with a target that goes back to zero by itself soon after each request; what wakes that.

        Raises:
            ClusterError, TimeoutError: it does not get ready.
        """
