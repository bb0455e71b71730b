"""Whether a model's file is checked, and may be served."""

from dataclasses import dataclass

from shimmy_api.conditions import READY
from shimmy_api.model import ShimmyModelSpec, ShimmyModelStatus
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.render.deployment import ServedModel
from shimmy_operator.render.location import spec_digest
from shimmy_operator.status import model as model_status
from shimmy_operator.status.conditions import find


@dataclass(frozen=True, slots=True)
class Lack:
    """What a model lacks."""

    message: str
    passing: bool = False
    """Whether it is being checked: it may be served soon."""


def find_checked(environment: Environment, namespace: str, model: str) -> ServedModel | Lack:
    """A model whose file is checked, or what it lacks."""
    manifest = environment.store.get("ShimmyModel", namespace, model)
    if manifest is None:
        return Lack(f"ShimmyModel {model} does not exist in this namespace")
    spec = ShimmyModelSpec.model_validate(manifest["spec"])
    found = ShimmyModelStatus.model_validate(manifest.get("status") or {})
    if found.artifact is not None and found.artifact.spec_digest == spec_digest(spec):
        return ServedModel(model, spec, found.artifact)
    condition = find(found.conditions, READY)
    if condition is None or condition.reason in model_status.PROGRESS:
        return Lack(f"ShimmyModel {model} is being checked", passing=True)
    return Lack(f"ShimmyModel {model} is not usable: {condition.reason}")
