"""Status of a ShimmyInstance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api import names
from shimmy_api.instance import ModelState, ServedModel, ShimmyInstanceStatus
from shimmy_operator.status.conditions import Verdict, ready_condition
from shimmy_operator.status.pods import find_problem

Manifest = dict[str, Any]

_AS_WANTED: Final = frozenset({ModelState.READY, ModelState.IDLE, ModelState.AT_ZERO})
_SERVING: Final = _AS_WANTED | {ModelState.DEGRADED}
PROGRESS: Final = frozenset({"Waiting", "Waking", "Loading"})
"""Reasons that are steps on the way and no failures."""
_ORDER: Final = (
    ModelState.FAILED,
    ModelState.WAITING,
    ModelState.WAKING,
    ModelState.LOADING,
    ModelState.DEGRADED,
    ModelState.AT_ZERO,
    ModelState.IDLE,
    ModelState.READY,
)
"""The first one that a model is in is what the instance tells."""
_REASONS: Final = {
    ModelState.FAILED: "ModelFailed",
    ModelState.WAITING: "Waiting",
    ModelState.WAKING: "Waking",
    ModelState.LOADING: "Loading",
    ModelState.DEGRADED: "Degraded",
    ModelState.AT_ZERO: "AtZero",
    ModelState.IDLE: "Serving",
    ModelState.READY: "Serving",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods of an instance."""

    wanted: int
    """Pods that each Deployment is told to run."""
    ready: int
    """Ready pods of all Deployments together."""


def wanted(deployment: Manifest | None) -> int:
    """Pods that a Deployment is told to run."""
    return 0 if deployment is None else int(deployment["spec"].get("replicas", 1))


def ready(deployment: Manifest | None) -> int:
    """Ready pods of a Deployment, none beyond those that are wanted."""
    return 0 if deployment is None else min(_count(deployment, "readyReplicas"), wanted(deployment))


def refusal(deployment: Manifest) -> str:
    """Why Kubernetes makes no more pods of a Deployment, such as a quota; empty if it does.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment
    """
    for one in deployment.get("status", {}).get("conditions") or ():
        if one["type"] == "ReplicaFailure" and one["status"] == "True":
            return str(one.get("message", ""))
    return ""


def refused(deployment: Manifest) -> int:
    """Pods that a Deployment is told to run and that Kubernetes refuses to make."""
    return max(wanted(deployment) - _count(deployment, "replicas"), 0) if refusal(deployment) else 0


def settled(deployment: Manifest) -> bool:
    """Whether all pods are of the newest template, as many as wanted, and ready.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
    """
    observed = _count(deployment, "observedGeneration") >= int(deployment["metadata"]["generation"])
    newest, all_of_them = _count(deployment, "updatedReplicas"), _count(deployment, "replicas")
    return observed and newest == all_of_them == wanted(deployment) == _count(deployment, "readyReplicas")


def _count(deployment: Manifest, field: str) -> int:
    return int(deployment.get("status", {}).get(field) or 0)


def served_model(name: str, waits_for: str, deployment: Manifest | None, pods: Sequence[Manifest]) -> ServedModel:
    """State of one model. `waits_for` says what its file lacks, empty if nothing."""
    if deployment is None:
        return ServedModel(name=name, state=ModelState.WAITING, message=waits_for)
    problem = find_problem(pods)
    want, have = wanted(deployment), ready(deployment)
    if problem:
        message = f"{problem.reason}: {problem.message}"
    elif refused(deployment):
        message = f"no pod may be made: {refusal(deployment)}"
    else:
        message = waits_for
    if want == 0:
        state = ModelState.AT_ZERO
    elif have >= want:
        state = ModelState.READY
    elif have > 0:
        state = ModelState.DEGRADED
    else:
        state = ModelState.FAILED if problem else ModelState.LOADING
    return ServedModel(name=name, state=state, replicas=want, ready_replicas=have, message=message)


def moving_model(
    name: str, waits_for: str, new: Manifest | None, pods: Sequence[Manifest], old: Manifest | None
) -> ServedModel:
    """State of a model whose new pods do not have its requests yet; `old` are those that have them, if any do."""
    problem = find_problem(pods)
    why = f"{problem.reason}: {problem.message}" if problem else waits_for
    have = ready(old)
    waits = ModelState.FAILED if problem else ModelState.LOADING
    state = ModelState.DEGRADED if have else waits
    message = ": ".join(filter(None, ("waits for pods of the new placement" if old else "waits for pods", why)))
    return ServedModel(name=name, state=state, replicas=wanted(new), ready_replicas=have, message=message)


def instance_verdict(models: Sequence[ServedModel]) -> Verdict:
    """Ready if every model that is wanted has a pod that answers; the reason is that of the model that is worst off."""
    worst = min(models, key=lambda model: _ORDER.index(model.state))
    ready = all(model.state in _SERVING for model in models)
    if worst.state in _AS_WANTED:
        at_zero = all(model.state is ModelState.AT_ZERO for model in models)
        reason = _REASONS[ModelState.AT_ZERO if at_zero else ModelState.READY]
        return Verdict(ready, reason, f"{len(models)} of {len(models)} models as wanted")
    good = sum(model.state in _SERVING for model in models)
    detail = f": {worst.message}" if worst.message else ""
    message = f"{good} of {len(models)} models serve; {worst.name} is {worst.state}{detail}"
    return Verdict(ready, _REASONS[worst.state], message)


def instance_status(
    instance: str,
    models: Sequence[ServedModel],
    counts: Counts,
    endpoint: str,
    previous: ShimmyInstanceStatus,
    generation: int,
    now: str,
) -> ShimmyInstanceStatus:
    """The whole status."""
    return refused_status(instance, instance_verdict(models), endpoint, previous, generation, now).model_copy(
        update={
            "replicas": counts.wanted,
            "ready_replicas": counts.ready,
            "models": tuple(sorted(models, key=lambda model: model.name)),
        }
    )


def refused_status(
    instance: str, verdict: Verdict, endpoint: str | None, previous: ShimmyInstanceStatus, generation: int, now: str
) -> ShimmyInstanceStatus:
    """A status that tells the verdict and nothing of models."""
    selector = {
        names.LABEL_COMPONENT: names.ENGINE,
        names.LABEL_INSTANCE_OF: names.bounded(instance),
    }
    return ShimmyInstanceStatus(
        observed_generation=generation,
        endpoint=endpoint,
        selector=",".join(f"{key}={value}" for key, value in selector.items()),
        conditions=(ready_condition(verdict, previous.conditions, generation, now),),
    )
