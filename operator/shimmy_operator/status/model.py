"""Status of a ShimmyModel."""

from collections.abc import Collection, Sequence

from shimmy_api.model import Artifact, Sharing, SharingStatus, ShimmyModelStatus
from shimmy_operator.render.location import Location
from shimmy_operator.status.check import Refusal, Running
from shimmy_operator.status.conditions import Verdict, consistency_condition, ready_condition

_ADVICE = {
    "FileMissing": "Put it there, or correct spec.backend.",
    "Truncated": "Copy the whole file again.",
    "ChecksumMismatch": "Replace the file, or correct spec.backend.gguf.sha256.",
    "NotSafetensors": "Copy the whole file again.",
    "AdapterMismatch": "Take the adapter that was trained for this model, or the model that it was trained for.",
    "NotGguf": "Point spec.backend.gguf.source at a GGUF file.",
    "Unsupported": "Take a model of a kind that docs/engine.md names under Formats.",
    "SourceUnreachable": "Check the URL, and that spec.fetch of the tenant or the operator's settings allow it.",
    "SourceMissing": "Correct the source in spec.backend.",
    "SourceAmbiguous": "Choose one in the source in spec.backend.",
    "SourceUntrusted": "Give the authority to the operator: --fetch-ca-file, fetch.caBundle of the Helm chart.",
    "AccessDenied": "Name a Secret that may read it in credentialsSecretName.",
    "CredentialsMissing": "Complete the Secret that credentialsSecretName names.",
    "ChecksumUnknown": "Set spec.backend.gguf.sha256.",
    "Offline": "Put the file onto a volume and name it as pvc://CLAIM/PATH.",
    "NoSpace": "Raise spec.storage.size.",
}
PROGRESS = frozenset({"Checking", "Converting", "Fetching", "Waiting"})
"""Reasons that are steps on the way and no failures."""


def usable(artifact: Artifact) -> Verdict:
    """A checked file."""
    return Verdict(
        True,
        "Checked",
        f"{artifact.architecture} {artifact.quantization}, {artifact.parameters:,} parameters, "
        f"{artifact.size_bytes:,} bytes, sha256 {artifact.sha256}"
        + (f"; with a LoRA adapter of rank {artifact.lora.rank}" if artifact.lora else ""),
    )


def refused(refusal: Refusal, job: str, closed_port: int | None = None) -> Verdict:
    """A file that cannot be used; the Job is kept for an hour, then the file is checked again.

    `closed_port` is one that the source needs and no allowed block of addresses has.
    """
    again = f"To check again at once: kubectl delete job {job}"
    message = refusal.message.rstrip(". ")
    parts = [f"{message}.", _wall(refusal, closed_port) or _ADVICE.get(refusal.reason, ""), again]
    return Verdict(False, refusal.reason, " ".join(filter(None, parts)))


def _wall(refusal: Refusal, closed_port: int | None) -> str:
    if refusal.reason != "SourceUnreachable" or closed_port is None:
        return ""
    return f"Neither spec.fetch.egress of the tenant nor the operator's settings open TCP port {closed_port}."


def at_work(running: Running, location: Location, closed_port: int | None = None) -> Verdict:
    """A Job that is not done, with what holds it up: it goes on trying, so that is no verdict yet."""
    if location.converted_from is not None:
        reason, doing = "Converting", f"Converting {location.converted_from} onto volume {location.claim_name}"
    elif location.url is None:
        reason, doing = "Checking", f"Reading {location.path} on volume {location.claim_name}"
    else:
        source = location.url.partition("?")[0]  # what follows may be a signature
        reason, doing = "Fetching", f"Fetching {source} onto volume {location.claim_name}"
    if running.problem is None:
        return Verdict(False, reason, doing)
    parts = [f"{doing}; {running.problem.reason}: {running.problem.message}", _wall(running.problem, closed_port)]
    return Verdict(False, reason, " ".join(filter(None, parts)))


def claim_not_found(claim: str) -> Verdict:
    """A volume of the user's that is not there (yet)."""
    return Verdict(
        False,
        "ClaimNotFound",
        f"PersistentVolumeClaim {claim} does not exist in this namespace; the model is checked when it appears.",
    )


def sharing_status(sharing: Sharing, unknown: Collection[str]) -> SharingStatus | None:
    """With whom a model is shared; None if with nobody."""
    if not sharing.all_tenants and not sharing.tenants:
        return None
    return SharingStatus(
        all_tenants=sharing.all_tenants,
        tenants=tuple(sorted(tenant for tenant in sharing.tenants if tenant not in unknown)),
        unknown=tuple(sorted(unknown)),
    )


def model_status(
    verdict: Verdict,
    artifact: Artifact | None,
    sharing: SharingStatus | None,
    conflicts: Sequence[Verdict] | None,
    previous: ShimmyModelStatus,
    generation: int,
    now: str,
) -> ShimmyModelStatus:
    """The whole status. `conflicts` are those with other objects; None where the model can have none."""
    return ShimmyModelStatus(
        observed_generation=generation,
        artifact=artifact,
        sharing=sharing,
        conditions=(
            ready_condition(verdict, previous.conditions, generation, now),
            *consistency_condition(conflicts, previous.conditions, generation, now),
        ),
    )
