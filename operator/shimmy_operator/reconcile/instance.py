"""Reconciles a ShimmyInstance."""

from shimmy_api.instance import ModelState, ShimmyInstanceSpec, ShimmyInstanceStatus
from shimmy_operator.cluster.resources import Manifest, reference
from shimmy_operator.reconcile.autoscale import Scaled, autoscale, end_scaling
from shimmy_operator.reconcile.children import prune
from shimmy_operator.reconcile.consistency import instance_conflicts
from shimmy_operator.reconcile.dedicated import arrange_dedicated
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.reconcile.pool import Pool
from shimmy_operator.reconcile.shared import arrange_shared
from shimmy_operator.reconcile.shares import deployments_of
from shimmy_operator.render.metadata import Owner
from shimmy_operator.scaling.bounds import bounds_now
from shimmy_operator.status import instance as status
from shimmy_operator.status.conditions import consistency_condition
from shimmy_operator.status.namespace import no_tenant


async def reconcile_instance(environment: Environment, manifest: Manifest) -> Outcome[ShimmyInstanceStatus]:
    """Have pods for the models whose files are checked, as the placement says; remove what is not wanted any more."""
    spec = ShimmyInstanceSpec.model_validate(manifest["spec"])
    before = ShimmyInstanceStatus.model_validate(manifest.get("status") or {})
    name, namespace, uid = (manifest["metadata"][key] for key in ("name", "namespace", "uid"))
    generation = manifest["metadata"]["generation"]
    tenant = environment.tenant_of(namespace)
    if tenant is None:
        after = status.refused_status(name, no_tenant(namespace), None, before, generation, environment.now)
        return Outcome(before, after, status.PROGRESS)
    key, owner = reference(manifest), Owner("ShimmyInstance", name, uid)
    arrange = arrange_shared if spec.placement == "Shared" else arrange_dedicated
    if spec.autoscaling is None:
        pool = Pool(environment, tenant, namespace, owner, spec)
        await end_scaling(pool, key)  # Before `spec.replicas` is applied: two must not decide.
        arranged = await arrange(pool)
        scaled = Scaled(arranged.models)
    else:
        bounds = bounds_now(spec.autoscaling, len(deployments_of(name, spec)), environment.clock())
        pool = Pool(environment, tenant, namespace, owner, spec, bounds.least)
        arranged = await arrange(pool)
        scaled = await autoscale(pool, key, spec.autoscaling, bounds, arranged, before, generation)
    for kind, keep in arranged.keep.items():
        await prune(environment, kind, namespace, uid, keep)
    counts = status.Counts(arranged.replicas, sum(status.ready(pool.deployment(name)) for name in arranged.deployments))
    after = status.instance_status(
        name, scaled.models, counts, environment.endpoint_of(tenant, namespace), before, generation, environment.now
    )
    conflicts = instance_conflicts(environment, manifest, spec)
    consistent = consistency_condition(conflicts, before.conditions, generation, environment.now)
    conditions = (*after.conditions, *consistent, *scaled.conditions)
    after = after.model_copy(update={"autoscaling": scaled.status, "conditions": conditions})
    urgent = scaled.status is not None and _states(before) != _states(after)
    return Outcome(before, after, status.PROGRESS, scaled.news, urgent=urgent)


def _states(found: ShimmyInstanceStatus) -> dict[str, ModelState]:
    """What routers act on."""
    return {model.name: model.state for model in found.models}
