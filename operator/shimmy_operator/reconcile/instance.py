"""Reconciles a ShimmyInstance."""

from shimmy_api import names
from shimmy_api.conditions import READY
from shimmy_api.instance import ServedModel as ServedModelStatus
from shimmy_api.instance import ShimmyInstanceSpec, ShimmyInstanceStatus
from shimmy_api.model import ShimmyModelSpec, ShimmyModelStatus
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.children import ensure, prune
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.render.deployment import ServedModel, render_deployment
from shimmy_operator.render.location import spec_digest
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.service import render_service
from shimmy_operator.status import instance as status
from shimmy_operator.status import model as model_status
from shimmy_operator.status.conditions import find
from shimmy_operator.status.namespace import no_tenant


async def reconcile_instance(environment: Environment, manifest: Manifest) -> Outcome[ShimmyInstanceStatus]:
    """Have a Deployment and a Service for each model whose file is checked; remove those of models that left."""
    spec = ShimmyInstanceSpec.model_validate(manifest["spec"])
    before = ShimmyInstanceStatus.model_validate(manifest.get("status") or {})
    name, namespace, uid = (manifest["metadata"][key] for key in ("name", "namespace", "uid"))
    generation = manifest["metadata"]["generation"]
    tenant = environment.tenant_of(namespace)
    if tenant is None:
        after = status.refused_status(name, no_tenant(namespace), None, before, generation, environment.now)
        return Outcome(before, after, status.PROGRESS)
    owner = Owner("ShimmyInstance", name, uid)
    models = [await _serve(environment, tenant, namespace, owner, spec, model) for model in spec.models]
    keep = {names.serving(name, model) for model in spec.models}
    for kind in ("Deployment", "Service"):
        await prune(environment, kind, namespace, uid, keep)
    after = status.instance_status(name, models, environment.settings.endpoint, before, generation, environment.now)
    return Outcome(before, after, status.PROGRESS)


async def _serve(
    environment: Environment, tenant: str, namespace: str, owner: Owner, spec: ShimmyInstanceSpec, model: str
) -> ServedModelStatus:
    checked, waits_for = find_checked(environment, namespace, model)
    deployment = environment.store.get("Deployment", namespace, names.serving(owner.name, model))
    if checked is not None:
        await ensure(environment, render_service(tenant, namespace, owner, model))
        rendered = render_deployment(tenant, namespace, owner, spec, checked, environment.context)
        deployment = await ensure(environment, rendered)
    # Without a checked file, pods of the one before go on serving.
    selector = names.selector_labels(owner.name, model)
    pods = [
        pod
        for pod in environment.store.within("Pod", namespace)
        if selector.items() <= (pod["metadata"].get("labels") or {}).items()
    ]
    return status.served_model(model, waits_for, deployment, pods)


def find_checked(environment: Environment, namespace: str, model: str) -> tuple[ServedModel | None, str]:
    """A model whose file is checked, or what it lacks."""
    manifest = environment.store.get("ShimmyModel", namespace, model)
    if manifest is None:
        return None, f"ShimmyModel {model} does not exist in this namespace"
    spec = ShimmyModelSpec.model_validate(manifest["spec"])
    found = ShimmyModelStatus.model_validate(manifest.get("status") or {})
    if found.artifact is not None and found.artifact.spec_digest == spec_digest(spec):
        return ServedModel(model, spec, found.artifact), ""
    condition = find(found.conditions, READY)
    if condition is None or condition.reason in model_status.PROGRESS:
        return None, f"ShimmyModel {model} is being checked"
    return None, f"ShimmyModel {model} is not usable: {condition.reason}"
