"""Wakes a subject's target again and again, and reads in the audit log what came of it."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from devkit.bench.wake.moments import Target, Wake, wake
from devkit.bench.wake.subject import Request, Subject
from devkit.cluster import Cluster
from devkit.progress import say
from devkit.waiting import until
from shimmy_api.headers import WAIT

_READY_SECONDS: Final = 120.0
_ASLEEP_SECONDS: Final = 180.0
_QUIET_SECONDS: Final = 2.0
"""At zero before a request: every part's caches know by then."""
_ANSWER_SECONDS: Final = 60.0
_TOLD_SECONDS: Final = 10.0


@dataclass
class Result:
    """Of one subject."""

    wakes: list[Wake] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What clients saw instead of an answer."""


def measure(subject: Subject, cluster: Cluster, times: int) -> Result:
    """Start the subject and wake its target so many times, each time from zero.

    Raises:
        ClusterError: the subject does not get ready.
        TimeoutError: likewise, or its target does not go back to zero.
        LookupError: the audit log does not tell what happened.
    """
    request = subject.start(cluster)
    result = Result()
    # Made before the clock runs: it reads every certificate of the system. No connection is used twice.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False, limits=limits) as client:
        until(lambda: not _ask(client, request).failure, f"{subject.title} answers", seconds=_READY_SECONDS, every=1)
        for number in range(times):
            _sleep(cluster, subject.target)
            log = Log(cluster.audit_log)
            answer = _ask(client, request)
            if answer.failure:
                say(f"{subject.title}: {answer.failure}")
                result.failures.append(answer.failure)
                continue
            found = _found(log, subject.target, answer)
            again = _ask(client, request)
            awake = None if again.failure else again.first_byte - again.arrival
            result.wakes.append(replace(found, able=_able(cluster, subject.target), let_go=answer.let_go, awake=awake))
            say(f"{subject.title}: {number + 1} of {times}: {result.wakes[-1].seconds['total'] * 1000:.0f} ms")
    return result


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a client saw, by the clock of this machine."""

    arrival: datetime
    first_byte: datetime
    failure: str
    """What came instead of an answer."""
    let_go: datetime | None = None
    """When it was sent to the pod, if the answer says that."""


class Log:
    """What an audit log tells from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = path.stat().st_size

    def events(self) -> Iterator[dict[str, Any]]:
        """Every whole event since, the oldest first."""
        with self._path.open("rb") as lines:
            lines.seek(self._from)
            # A line that is being written while it is read is no whole one yet.
            yield from (json.loads(line) for line in lines if line.endswith(b"\n"))


def _ask(client: httpx.Client, request: Request) -> _Answer:
    method = "GET" if request.body is None else "POST"
    arrival = datetime.now(UTC)
    try:
        with client.stream(method, request.url, headers=dict(request.headers), json=request.body) as response:
            first_byte = datetime.now(UTC)
            text = response.read().decode(errors="replace")
            waited = response.headers.get(WAIT)
    except httpx.HTTPError as error:
        return _Answer(arrival, datetime.now(UTC), repr(error))
    failure = "" if response.is_success else f"{response.status_code} {text.strip()}"
    return _Answer(arrival, first_byte, failure, arrival + timedelta(seconds=float(waited)) if waited else None)


def _found(log: Log, target: Target, answer: _Answer) -> Wake:
    """What the audit log tells, which may hear of a ready pod after the answer."""

    def told() -> Wake | None:
        with suppress(LookupError):
            return wake(log.events(), target, answer.arrival, answer.first_byte)
        return None

    with suppress(TimeoutError):
        return until(told, f"the audit log tells of {target.name}", seconds=_TOLD_SECONDS, every=0.1)
    return wake(log.events(), target, answer.arrival, answer.first_byte)  # says what is missing


def _able(cluster: Cluster, target: Target) -> datetime | None:
    """When the pod said that it can answer."""
    for pod in _pods(cluster, target) if target.says_ready else ():
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{target.namespace}/pods/{name}/log?timestamps=true"
        for line in cluster.client.text(path).splitlines():
            time, _, text = line.partition(" ")
            if target.says_ready in text:
                return datetime.fromisoformat(time)
    return None


def _sleep(cluster: Cluster, target: Target) -> None:
    """Wait until the target has no pod and wants none."""
    until(lambda: not _pods(cluster, target), f"{target.name} is at zero", seconds=_ASLEEP_SECONDS, every=0.5)
    time.sleep(_QUIET_SECONDS)


def _pods(cluster: Cluster, target: Target) -> Sequence[Any]:
    selector = ",".join(f"{key}%3D{value}" for key, value in target.labels.items())
    path = f"/api/v1/namespaces/{target.namespace}/pods?labelSelector={selector}"
    listed: Sequence[Any] = cluster.client.json(path)["items"]
    return listed
