"""Status of a ShimmyModel."""

from shimmy_api.model import Artifact, ShimmyModelStatus
from shimmy_operator.render.location import Location
from shimmy_operator.status.check import Refusal, Running
from shimmy_operator.status.conditions import Verdict, ready_condition

_ADVICE = {
    "FileMissing": "Put the file there, or correct spec.backend.gguf.source.",
    "Truncated": "Copy the whole file again.",
    "ChecksumMismatch": "Replace the file, or correct spec.backend.gguf.sha256.",
    "NotGguf": "Point spec.backend.gguf.source at a GGUF file.",
    "Unsupported": "Take a GGUF file of an architecture and quantization that the engine knows.",
    "SourceUnreachable": "Check the URL, and that spec.fetch of the tenant or the operator's settings allow it.",
    "NoSpace": "Raise spec.storage.size.",
}
PROGRESS = frozenset({"Checking", "Fetching", "Waiting"})
"""Reasons that are steps on the way and no failures."""


def usable(artifact: Artifact) -> Verdict:
    """A checked file."""
    return Verdict(
        True,
        "Checked",
        f"{artifact.architecture} {artifact.quantization}, {artifact.parameters:,} parameters, "
        f"{artifact.size_bytes:,} bytes, sha256 {artifact.sha256}",
    )


def refused(refusal: Refusal, job: str) -> Verdict:
    """A file that cannot be used; the Job is kept for an hour, then the file is checked again."""
    again = f"To check again at once: kubectl delete job {job}"
    message = refusal.message.rstrip(". ")
    parts = [f"{message}.", _ADVICE.get(refusal.reason, ""), again]
    return Verdict(False, refusal.reason, " ".join(filter(None, parts)))


def at_work(running: Running, location: Location) -> Verdict:
    """A Job that is not done, with what holds it up: it goes on trying, so that is no verdict yet."""
    if location.url is None:
        reason, doing = "Checking", f"Reading {location.path} on volume {location.claim_name}"
    else:
        reason, doing = "Fetching", f"Fetching {location.url} onto volume {location.claim_name}"
    problem = running.problem
    return Verdict(False, reason, f"{doing}; {problem.reason}: {problem.message}" if problem else doing)


def claim_not_found(claim: str) -> Verdict:
    """A volume of the user's that is not there (yet)."""
    return Verdict(
        False,
        "ClaimNotFound",
        f"PersistentVolumeClaim {claim} does not exist in this namespace; the model is checked when it appears.",
    )


def model_status(
    verdict: Verdict, artifact: Artifact | None, previous: ShimmyModelStatus, generation: int, now: str
) -> ShimmyModelStatus:
    """The whole status."""
    return ShimmyModelStatus(
        observed_generation=generation,
        artifact=artifact,
        conditions=(ready_condition(verdict, previous.conditions, generation, now),),
    )
