"""When a workload woke, from what the API server wrote to its audit log meanwhile. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

_MUTATING: Final = frozenset({"create", "update", "patch"})


@dataclass(frozen=True, slots=True)
class Target:
    """What is woken."""

    namespace: str
    resource: str
    """Plural name of the kind whose `spec.replicas` is set."""
    name: str
    labels: Mapping[str, str]
    """Of its pods."""
    says_ready: str = ""
    """What its pods log when they can answer; empty where they log nothing of the kind."""


@dataclass(frozen=True, slots=True)
class Wake:
    """The moments of one wake, all by the clock of one machine."""

    arrival: datetime
    scaled: datetime
    """When the write that asks for a pod was answered."""
    ready: datetime
    """When the write that tells a pod ready was answered."""
    first_byte: datetime
    able: datetime | None = None
    """When the pod logged that it can answer, which Kubernetes learns later."""
    let_go: datetime | None = None
    """When the subject sent the request on, as it says: early by what the request took to it."""
    awake: timedelta | None = None
    """What the same request took to its first byte right afterwards."""

    @property
    def seconds(self) -> dict[str, float]:
        """What the wait was spent on, by the names in PHASES and, where they are known, in OWN_PHASES."""
        scaling, starting = self.scaled - self.arrival, self.ready - self.scaled
        answering, total = self.first_byte - self.ready, self.first_byte - self.arrival
        spans = (scaling, starting, answering, total, scaling + answering)
        found = dict(zip(PHASES, (span.total_seconds() for span in spans), strict=True))
        if self.able and self.let_go:
            going, answered = self.let_go - self.able, self.first_byte - self.let_go
            own = (self.ready - self.able, going, answered, going + answered)
            found |= zip(OWN_PHASES, (span.total_seconds() for span in own), strict=True)
        if self.awake:
            found[AWAKE] = self.awake.total_seconds()
        return found


PHASES: Final = (
    "arrival -> scale write",
    "scale write -> pod ready",
    "pod ready -> first byte",
    "total",
    # What the subject itself adds: who starts pods and how fast is nearly the same for all.
    "total without pod start",
)
"""Of a subject that finds out by itself that a pod is ready, the third and the last may be negative."""
OWN_PHASES: Final = (
    "able -> pod ready",
    "able -> let go",
    "let go -> first byte",
    "able -> first byte",
)
"""Where the pod says when it can answer, and the subject when it sent the request on."""

AWAKE: Final = "the same again, awake"
"""From arrival to the first byte where there is a pod."""


def wake(events: Iterable[Mapping[str, Any]], target: Target, arrival: datetime, first_byte: datetime) -> Wake:
    """Find the moments between two of the client's in audit.k8s.io/v1 events, the oldest first.

    Raises:
        LookupError: the events do not tell one of them.
    """
    scaled = ready = None
    for event in events:
        time = datetime.fromisoformat(event["stageTimestamp"])
        if time < arrival or not _carried_out(event):
            continue
        if scaled is None and _asks_for_a_pod(event, target):
            scaled = time
        if ready is None and _tells_a_pod_ready(event, target):
            ready = time
    if scaled is None:
        raise LookupError(f"no write to {target.resource}/{target.name} asks for a pod")
    if ready is None:
        raise LookupError(f"no pod of {target.resource}/{target.name} became ready")
    return Wake(arrival, scaled, ready, first_byte)


def _carried_out(event: Mapping[str, Any]) -> bool:
    code: int = event.get("responseStatus", {}).get("code", 0)
    return event["verb"] in _MUTATING and event["stage"] == "ResponseComplete" and 200 <= code < 300


def _asks_for_a_pod(event: Mapping[str, Any], target: Target) -> bool:
    """Whether it is a write of the object or of its scale, after which that wants a pod."""
    of = event.get("objectRef", {})
    if (of.get("resource"), of.get("namespace"), of.get("name")) != (target.resource, target.namespace, target.name):
        return False
    replicas: int = event.get("responseObject", {}).get("spec", {}).get("replicas") or 0
    return of.get("subresource") != "status" and replicas > 0


def _tells_a_pod_ready(event: Mapping[str, Any], target: Target) -> bool:
    of = event.get("objectRef", {})
    if (of.get("resource"), of.get("subresource"), of.get("namespace")) != ("pods", "status", target.namespace):
        return False
    pod: Mapping[str, Any] = event.get("responseObject", {})
    if not target.labels.items() <= pod.get("metadata", {}).get("labels", {}).items():
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
