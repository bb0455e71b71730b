"""What the status of an instance tells of scaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api.conditions import BOUNDS_VALID, LOAD_KNOWN, SCALING_LIMITED, Conditions
from shimmy_api.instance import ColdStarts, ModelState, ServedModel
from shimmy_operator.scaling.bounds import Bounds
from shimmy_operator.status.conditions import Verdict, condition
from shimmy_operator.status.pods import find_problem

Manifest = dict[str, Any]

_WAKING: Final = frozenset({ModelState.AT_ZERO, ModelState.WAKING})
_UNSCHEDULABLE: Final = "Unschedulable"


@dataclass(frozen=True, slots=True)
class Shortage:
    """A Deployment whose load asks for more pods than it may have."""

    what: str
    """The model, or the instance where models share pods."""
    wants: int
    share: int
    why: str


def awake(model: ServedModel, before: ServedModel | None, pods: Sequence[Manifest], *, idle: bool) -> ServedModel:
    """A model as load decides over it: what wakes from zero holds requests, and what is idle may go to sleep."""
    if idle and model.state is ModelState.READY:
        return model.model_copy(update={"state": ModelState.IDLE})
    woken = before is not None and before.state in _WAKING and model.replicas > 0 and model.ready_replicas == 0
    problem = find_problem(pods)
    if woken and (problem is None or problem.reason == _UNSCHEDULABLE):
        return model.model_copy(update={"state": ModelState.WAKING})
    return model


def with_cold_starts(model: ServedModel, cold_starts: ColdStarts | None) -> ServedModel:
    """A model that tells how long it takes to start."""
    return model.model_copy(update={"cold_starts": cold_starts})


def scaling_conditions(
    bounds: Bounds, short: Sequence[Shortage], blind: str, previous: Conditions, generation: int, now: str
) -> Conditions:
    """What stands in the way of what the spec says, or of what load asks for.

    `blind` is what autoscalers say that see no load; empty if they see one.
    """
    found = []
    if blind:
        message = (
            f"Autoscalers see no load, and leave the number of pods as it is: {blind}. Look whether the metrics server"
            " runs, is the cluster's external.metrics.k8s.io, and hears the tenant's router."
        )
        found.append(condition(LOAD_KNOWN, Verdict(False, "NoLoad", message), previous, generation, now))
    if bounds.problems:
        verdict = Verdict(False, "BoundsInvalid", " ".join(bounds.problems))
        found.append(condition(BOUNDS_VALID, verdict, previous, generation, now))
    if short:
        message = " ".join(f"{one.what} wants {one.wants} pods and may have {one.share}: {one.why}" for one in short)
        found.append(condition(SCALING_LIMITED, Verdict(True, "NoRoom", message), previous, generation, now))
    return tuple(found)
