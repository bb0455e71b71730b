"""What a fetch Job found: the result that its pod left as termination message."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from shimmy_api.model import Artifact
from shimmy_operator.render.location import Location
from shimmy_operator.status.pods import find_problem

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no usable file; `reason` is CamelCase."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Running:
    """The Job is at it; `problem` says what holds it up, if anything does."""

    problem: Refusal | None = None


def read_result(
    job: Manifest, pods: Iterable[Manifest], location: Location, digest: str
) -> Artifact | Refusal | Running:
    """What the newest pod of the Job says, together with the Job's own state."""
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    messages = [message for pod in newest_first if (message := termination(pod)) is not None]
    found = [_parse(message, location, digest) for message in messages]
    artifact = next((item for item in found if isinstance(item, Artifact)), None)
    refusal = next((item for item in found if isinstance(item, Refusal)), None)
    if finished(job, "Complete"):
        return artifact or Refusal("ResultLost", f"Job {job['metadata']['name']} succeeded but its pod is gone")
    if finished(job, "Failed"):
        return refusal or Refusal(_failure(location), f"Job {job['metadata']['name']} failed without a result")
    problem = find_problem(newest_first)
    if problem is not None:
        return Running(Refusal(problem.reason, problem.message))
    return Running(refusal)


def finished(job: Manifest, how: str) -> bool:
    """Whether a Job ended with a condition, Complete or Failed."""
    conditions = job.get("status", {}).get("conditions") or ()
    return any(condition["type"] == how and condition["status"] == "True" for condition in conditions)


def termination(pod: Manifest) -> tuple[int, str] | None:
    """Exit code and message of the last step, or of one before that failed."""
    status = pod.get("status", {})
    last, first = (map(_ended, status.get(key) or ()) for key in ("containerStatuses", "initContainerStatuses"))
    failed = (end for end in first if end and end[0])
    return next((end for end in (*last, *failed) if end), None)


def _ended(container: Manifest) -> tuple[int, str] | None:
    ended = (container.get("state") or {}).get("terminated")
    if not ended:
        return None
    return int(ended.get("exitCode", 1)), str(ended.get("message") or ended.get("reason") or "")


def _parse(message: tuple[int, str], location: Location, digest: str) -> Artifact | Refusal:
    code, text = message
    try:
        found = json.loads(text)
        if code == 0:
            lora = found.pop("lora", None)
            if lora and location.lora:
                found["lora"] = {**lora, "claimName": location.lora.claim_name, "path": location.lora.path}
            return Artifact(**found, spec_digest=digest, claim_name=location.claim_name, path=location.path)
        return Refusal(str(found["reason"]), str(found["message"]))
    except (ValueError, TypeError, KeyError, ValidationError):
        work = "conversion" if location.converted_from else "check"
        return Refusal(_failure(location), f"the {work} ended with code {code}: {text.strip() or 'no message'}")


def _failure(location: Location) -> str:
    return "ConversionFailed" if location.converted_from else "CheckFailed"
