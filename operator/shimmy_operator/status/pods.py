"""What is the matter with pods, in the words of the scheduler, the kubelet and the runtime."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

Manifest = dict[str, Any]

_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_WAITING: Final = _IMAGE | {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
_OUT_OF_MEMORY: Final = "OOMKilled"


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Why a pod does not become ready."""

    reason: str
    message: str


def find_problem(pods: Iterable[Manifest]) -> PodProblem | None:
    """The first problem of any pod, in the order of their names."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        problem = _unscheduled(pod) or _container_problem(pod)
        if problem is not None:
            return problem
    return None


def _unscheduled(pod: Manifest) -> PodProblem | None:
    for condition in pod.get("status", {}).get("conditions") or ():
        unscheduled = condition["type"] == "PodScheduled" and condition["status"] == "False"
        if unscheduled and condition.get("reason") == "Unschedulable":
            return PodProblem("Unschedulable", str(condition.get("message", "")))
    return None


def _container_problem(pod: Manifest) -> PodProblem | None:
    status = pod.get("status", {})
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if container.get("ready"):
            continue
        ended = _ended(container.get("lastState") or {}) or _ended(container.get("state") or {})
        waiting = (container.get("state") or {}).get("waiting") or {}
        if ended and ended.get("reason") == _OUT_OF_MEMORY:
            return PodProblem(
                _OUT_OF_MEMORY, "the pod used more memory than its limit; raise spec.engine.resources.memory"
            )
        # What the engine left word of counts while the next one is starting, too.
        if told := _told(ended):
            return told
        if waiting.get("reason") in _WAITING:
            return PodProblem(str(waiting["reason"]), _why(waiting, ended))
    return None


def _ended(state: Manifest) -> Manifest:
    return dict(state.get("terminated") or {})


def _told(ended: Manifest) -> PodProblem | None:
    """The reason that a container left as the last line of its termination message: `{"reason", "message"}`."""
    try:
        found = json.loads(_last_words(ended)[-1])
        return PodProblem(str(found["reason"]), str(found["message"]))
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _last_words(ended: Manifest) -> list[str]:
    return str(ended.get("message") or "").strip().splitlines()


def _why(waiting: Manifest, ended: Manifest) -> str:
    last = _last_words(ended)
    parts = [str(waiting.get("message", ""))]
    if ended:
        parts.append(f"last exit code {ended.get('exitCode')}")
    if last:
        parts.append(last[-1])
    return "; ".join(filter(None, parts))


def ready_seconds(pod: Manifest) -> int | None:
    """Seconds from a pod's creation until it was ready; None if it is not."""
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            ready = datetime.fromisoformat(condition["lastTransitionTime"])
            return max(round((ready - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])).total_seconds()), 0)
    return None
