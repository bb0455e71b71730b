"""Reads an API server's audit log: who changed what.

A write is a mutating request that changed a resourceVersion. An apply that changes nothing answers with the
resourceVersion that the object had before, which an earlier request in the log already gave; so a log from the
cluster's start tells the two apart. Bodies of Secrets are not logged: of them every successful request counts.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_MUTATING: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_NEVER_STORED: Final = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
"""Groups whose objects are questions: the API server answers them and keeps nothing."""
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """One mutating request that the API server carried out."""

    time: datetime
    """When it was answered."""
    user: str
    verb: str
    group: str
    """API group; empty for the core group."""
    resource: str
    """Plural name."""
    subresource: str
    namespace: str
    name: str
    uri: str
    """Path and query: the query of an apply names the field manager."""
    uid: str
    """Of the object in the answer; empty where the answer is none or is not logged."""
    resource_version: str
    """Of the object in the answer."""

    def __str__(self) -> str:
        of = "/".join(filter(None, (self.resource, self.namespace, self.name, self.subresource)))
        return f"{self.time:%H:%M:%S.%f} {self.user} {self.verb} {of} -> {self.resource_version or '?'}"


def requests(log: Path, user: str | None = None, since: datetime | None = None) -> list[Request]:
    """Every mutating request that was carried out, events and dry runs apart, oldest first.

    Args:
        log: the audit log, from the cluster's start.
        user: only this user's, e.g. `system:serviceaccount:shimmy-system:shimmy-operator`.
        since: only those answered at this time or later; it has a time zone.
    """
    return [request for request in _all(log) if _chosen(request, user, since)]


def writes(log: Path, user: str | None = None, since: datetime | None = None) -> list[Request]:
    """Those of `requests` that changed a resourceVersion; the arguments are the same."""
    return [request for request in _changing(_all(log)) if _chosen(request, user, since)]


def _changing(all_requests: Iterator[Request]) -> Iterator[Request]:
    seen: set[tuple[str, str]] = set()
    for request in all_requests:
        if request.group in _NEVER_STORED or request.subresource in {"token", "eviction", "binding"}:
            continue
        version = (request.uid, request.resource_version)
        if request.uid and request.verb != "delete" and version in seen:
            continue
        seen.add(version)
        yield request


def _all(log: Path) -> Iterator[Request]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            # A line that is being written while it is read is no whole one yet.
            if line.endswith("\n") and (request := parse(json.loads(line))):
                yield request


def parse(event: dict[str, Any]) -> Request | None:
    """The mutating request in an audit.k8s.io/v1 event, or None where it holds none that was carried out."""
    reference: dict[str, str] = event.get("objectRef", {})
    if (
        event["verb"] not in _MUTATING
        or event["stage"] != "ResponseComplete"
        or not 200 <= event.get("responseStatus", {}).get("code", 0) < 300
        or reference.get("resource", "events") == "events"
        or "dryRun=" in event["requestURI"]
    ):
        return None
    answer: dict[str, Any] = event.get("responseObject", {})
    metadata: dict[str, Any] = answer.get("metadata", {})
    return Request(
        time=datetime.fromisoformat(event["stageTimestamp"]),
        user=event["user"]["username"],
        verb=event["verb"],
        group=reference.get("apiGroup", ""),
        resource=reference["resource"],
        subresource=reference.get("subresource", ""),
        namespace=reference.get("namespace", ""),
        name=reference.get("name", "") or metadata.get("name", ""),
        uri=event["requestURI"],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
    )


def _chosen(request: Request, user: str | None, since: datetime | None) -> bool:
    return (user is None or request.user == user) and request.time >= (since or _BEGINNING)
