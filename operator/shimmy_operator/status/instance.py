"""Status of a ShimmyInstance."""

from collections.abc import Sequence
from typing import Any, Final

from shimmy_api import names
from shimmy_api.instance import ModelState, ServedModel, ShimmyInstanceStatus
from shimmy_operator.status.conditions import Verdict, ready_condition
from shimmy_operator.status.pods import find_problem

Manifest = dict[str, Any]

_SERVING: Final = frozenset({ModelState.READY, ModelState.DEGRADED, ModelState.AT_ZERO})
PROGRESS: Final = frozenset({"Waiting", "Loading"})
"""Reasons that are steps on the way and no failures."""
_ORDER: Final = list(ModelState)
_REASONS: Final = {
    ModelState.FAILED: "ModelFailed",
    ModelState.WAITING: "Waiting",
    ModelState.LOADING: "Loading",
    ModelState.DEGRADED: "Degraded",
    ModelState.AT_ZERO: "AtZero",
    ModelState.READY: "Serving",
}


def served_model(name: str, waits_for: str, deployment: Manifest | None, pods: Sequence[Manifest]) -> ServedModel:
    """State of one model. `waits_for` says what its file lacks, empty if nothing."""
    if deployment is None:
        return ServedModel(name=name, state=ModelState.WAITING, message=waits_for)
    wanted = int(deployment["spec"].get("replicas", 1))
    ready = min(int(deployment.get("status", {}).get("readyReplicas") or 0), wanted)
    problem = find_problem(pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
    message = f"{problem.reason}: {problem.message}" if problem else waits_for
    if wanted == 0:
        state = ModelState.AT_ZERO
    elif ready >= wanted:
        state = ModelState.READY
    elif ready > 0:
        state = ModelState.DEGRADED
    else:
        state = ModelState.FAILED if problem else ModelState.LOADING
    return ServedModel(name=name, state=state, replicas=wanted, ready_replicas=ready, message=message)


def instance_verdict(models: Sequence[ServedModel]) -> Verdict:
    """Ready if every model that is wanted has a pod that answers; the reason is that of the model that is worst off."""
    worst = min(models, key=lambda model: _ORDER.index(model.state))
    ready = all(model.state in _SERVING for model in models)
    if worst.state in (ModelState.READY, ModelState.AT_ZERO):
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
    endpoint: str,
    previous: ShimmyInstanceStatus,
    generation: int,
    now: str,
) -> ShimmyInstanceStatus:
    """The whole status."""
    return refused_status(instance, instance_verdict(models), endpoint, previous, generation, now).model_copy(
        update={
            "replicas": min(model.replicas for model in models),
            "ready_replicas": sum(model.ready_replicas for model in models),
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
