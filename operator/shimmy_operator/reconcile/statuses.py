"""Writes an object's status if it differs, and tells the transitions as Kubernetes Events."""

import hashlib
import logging
from typing import Any, Final, TypeVar

from shimmy_api import names
from shimmy_api.base import ApiModel
from shimmy_api.conditions import Condition, Conditions
from shimmy_operator.cluster.errors import ClusterError
from shimmy_operator.cluster.resources import Manifest, reference
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.status.conditions import NO_CONFLICT, Verdict

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS: Final = 10
"""Counts and messages of a state that stays the same are written at most this often."""
_LONGEST_NOTE: Final = 1024
_REPORTER: Final = f"{names.GROUP}/operator"

Status = TypeVar("Status", bound=ApiModel)


def parse_status(model: type[Status], manifest: Manifest) -> Status:
    """The status that an object has now."""
    return model.model_validate(manifest.get("status") or {})


async def write_status(environment: Environment, manifest: Manifest, outcome: Outcome[Any]) -> None:
    """Write the status once if it differs, and tell what is new."""
    before, after = outcome.before, outcome.after
    if before == after:
        return
    key = reference(manifest)
    changed = _changed(before, after)
    now = environment.clock()
    urgent = changed or outcome.urgent or outcome.news or len(before.conditions) != len(after.conditions)
    if not urgent and _generation(before) == _generation(after) and key in environment.progress_written:
        wait = _PROGRESS_SECONDS - (now - environment.progress_written[key]).total_seconds()
        if wait > 0:
            environment.later(key, wait)
            return
    written = await environment.cluster.apply_status(_status_manifest(manifest, after))
    environment.progress_written[key] = now
    environment.store.put(written)
    for condition in changed:
        if condition.reason not in outcome.progress and condition.reason != NO_CONFLICT:
            verdict = Verdict(condition.status == "True", condition.reason, condition.message)
            await tell(environment, manifest, verdict)
    for verdict in outcome.news:
        await tell(environment, manifest, verdict)


def _status_manifest(manifest: Manifest, status: ApiModel) -> Manifest:
    metadata = {
        key: manifest["metadata"][key]
        for key in ("name", "namespace", "resourceVersion")
        if key in manifest["metadata"]
    }
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": metadata,
        "status": status.model_dump(by_alias=True, exclude_none=True, mode="json"),
    }


def _changed(before: Any, after: Any) -> list[Condition]:
    """The conditions whose status or reason is another one than before."""
    old = {condition.type: (condition.status, condition.reason) for condition in before.conditions}
    conditions: Conditions = after.conditions
    return [now for now in conditions if old.get(now.type) != (now.status, now.reason)]


def _generation(status: Any) -> int | None:
    generation: int | None = status.observed_generation
    return generation


async def tell(environment: Environment, manifest: Manifest, verdict: Verdict) -> None:
    """Tell something about an object as an Event."""
    try:
        await environment.cluster.create(_event(environment, manifest, verdict))
    except ClusterError as error:
        # An Event is a courtesy; the condition says the same.
        _LOG.warning("no event for %s: %s", reference(manifest), error)


def _event(environment: Environment, manifest: Manifest, verdict: Verdict) -> Manifest:
    metadata = manifest["metadata"]
    now = environment.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    digest = hashlib.sha256(f"{metadata['uid']}{verdict.reason}{now}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{names.bounded(metadata['name'], limit=200)}.{digest}",
            "namespace": metadata.get("namespace", "default"),
        },
        "eventTime": now,
        "reportingController": _REPORTER,
        "reportingInstance": names.FIELD_MANAGER,
        "action": "Reconcile",
        "type": "Normal" if verdict.ready else "Warning",
        "reason": verdict.reason,
        "note": verdict.message[:_LONGEST_NOTE],
        "regarding": {
            "apiVersion": manifest["apiVersion"],
            "kind": manifest["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            **({"namespace": metadata["namespace"]} if "namespace" in metadata else {}),
        },
    }
