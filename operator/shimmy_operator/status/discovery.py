"""How the discovery of a tenant's models is doing."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api.discovery import DiscoveryReport, Skipped
from shimmy_api.tenant import DiscoverySkip, DiscoverySource, DiscoverySourceStatus
from shimmy_operator.status.check import finished, termination
from shimmy_operator.status.conditions import Verdict
from shimmy_operator.status.pods import find_problem

Manifest = dict[str, Any]

PROGRESS: Final = frozenset({"Discovering"})
"""Reasons that are steps on the way and no failures."""
_SHOWN_SKIPS: Final = 10
_LONGEST_TEXT: Final = 300
_MISSED: Final = frozenset({"Unreadable", "TooDeep", "TooMany"})
"""Reasons of a report that leave it incomplete."""
_FOR_SOMEBODY: Final = ("NameTaken", "InUse", "Refused", "Forbidden")
"""Reasons of the operator's own for leaving a model alone that somebody should know of."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """The discovery part of a tenant's status."""

    verdict: Verdict
    sources: tuple[DiscoverySourceStatus, ...]


def found_verdict(report: DiscoveryReport, models: int, skips: Sequence[Skipped]) -> Verdict:
    """A source that was looked through. `skips` are what the operator left alone."""
    trouble = [skip for skip in skips if skip.reason in _FOR_SOMEBODY]
    if trouble:
        more = f" (and {len(trouble) - 1} more)" if len(trouble) > 1 else ""
        return Verdict(False, trouble[0].reason, f"{trouble[0].path}: {trouble[0].message}{more}")
    if not report.complete:
        missed = next((skip for skip in report.skipped if skip.reason in _MISSED), None)
        why = f"{missed.path}: {missed.message}" if missed else "more was found than fits into a report"
        return Verdict(False, "Incomplete", f"not everything could be looked at, so nothing is retired; {why}")
    return Verdict(True, "Discovered", f"{models} of {len(report.models)} are ShimmyModels")


def no_report(jobs: Sequence[Manifest], pods: Iterable[Manifest]) -> Verdict:
    """A source that is being looked through, with what holds that up."""
    failure = failed(jobs, pods, "")
    if failure is not None:
        return failure
    problem = find_problem(pods)
    doing = "looking through the folder"
    return Verdict(False, "Discovering", f"{doing}; {problem.reason}: {problem.message}" if problem else doing)


def failed(jobs: Sequence[Manifest], pods: Iterable[Manifest], since: str) -> Verdict | None:
    """Why the newest Job, made after `since` (RFC 3339), failed; None if it did not."""
    newest = max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp", "")), default=None)
    if newest is None or not finished(newest, "Failed"):
        return None
    if str(newest["metadata"].get("creationTimestamp", "")) < since:
        return None
    name = newest["metadata"]["name"]
    for pod in pods:
        owners = pod["metadata"].get("ownerReferences") or ()
        ended = termination(pod) if any(owner["name"] == name for owner in owners) else None
        if ended is not None:
            return _told(name, ended[1])
    return Verdict(False, "DiscoveryFailed", f"Job {name} failed without a result")


def _told(job: str, message: str) -> Verdict:
    try:
        found = json.loads(message)
        reason, text = str(found["reason"]), str(found["message"])
    except (ValueError, TypeError, KeyError):
        reason, text = "", message
    known = reason in {"FolderMissing", "NotDelivered"}
    return Verdict(False, reason if known else "DiscoveryFailed", f"Job {job}: {text[:_LONGEST_TEXT]}")


def claim_not_found(claim: str) -> Verdict:
    """A volume that is not there (yet)."""
    text = (
        f"PersistentVolumeClaim {claim} does not exist in the tenant's namespace; it is looked through when it appears"
    )
    return Verdict(False, "ClaimNotFound", text)


def result_invalid(config_map: str, error: ValueError) -> Verdict:
    """A result that nobody can read."""
    text = str(error).splitlines()[0][:_LONGEST_TEXT]
    return Verdict(False, "ResultInvalid", f"ConfigMap {config_map} holds no report of a discovery: {text}")


def schedule_refused(error: Exception) -> Verdict:
    """A schedule that the API server does not take."""
    return Verdict(False, "ScheduleInvalid", str(error)[:_LONGEST_TEXT])


def source_status(
    source: DiscoverySource, report: DiscoveryReport | None, models: int, skips: Sequence[Skipped]
) -> DiscoverySourceStatus:
    """Numbers, and the first reasons: those of the operator before those of the report."""
    if report is None:
        return DiscoverySourceStatus(name=source.name, models=models)
    reasons = [*skips, *report.skipped]
    return DiscoverySourceStatus(
        name=source.name,
        last_run=report.finished_at,
        found=len(report.models),
        models=models,
        skipped=len(reasons) + report.omitted,
        skips=tuple(
            DiscoverySkip(path=skip.path[:_LONGEST_TEXT], reason=skip.reason, message=skip.message[:_LONGEST_TEXT])
            for skip in reasons[:_SHOWN_SKIPS]
        ),
    )


def overall(verdicts: Sequence[tuple[DiscoverySource, Verdict]]) -> Verdict:
    """The verdict of the first source that needs somebody, else of the first that is at work, else that all is well."""
    bad = [(source, verdict) for source, verdict in verdicts if not verdict.ready]
    if not bad:
        return Verdict(
            True, "Discovered", ", ".join(f"{source.name}: {verdict.message}" for source, verdict in verdicts)
        )
    urgent = [one for one in bad if one[1].reason not in PROGRESS]
    source, verdict = (urgent or bad)[0]
    return Verdict(False, verdict.reason, f"{source.name}: {verdict.message}")
