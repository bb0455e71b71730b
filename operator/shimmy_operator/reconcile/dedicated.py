"""Placement Dedicated: each model of an instance has pods of its own."""

from dataclasses import replace

from shimmy_api import names
from shimmy_operator.reconcile.checked import Lack, find_checked
from shimmy_operator.reconcile.pool import Arranged, Pool, Taken
from shimmy_operator.render.deployment import render_deployment


async def arrange_dedicated(pool: Pool) -> Arranged:
    """Have a Deployment and a Service for each model; slots stay while a model still needs them."""
    taken = [await _serve(pool, model) for model in pool.spec.models]
    serving = {names.serving(pool.owner.name, model) for model in pool.spec.models}
    slots = {names.slots(pool.owner.name)} if any(one.old for one in taken) else set()
    models = [one.model for one in taken]
    return Arranged(
        models=models,
        replicas=min(model.replicas for model in models),
        keep={"Deployment": serving | slots, "Service": serving},
    )


async def _serve(pool: Pool, model: str) -> Taken:
    checked = find_checked(pool.environment, pool.namespace, model)
    pods = pool.own(model)
    if isinstance(checked, Lack):
        # Without a checked file, pods of the one before go on serving.
        return await pool.take_over(model, pods, pool.slots, checked.message, at_once=True)
    rendered = render_deployment(pool.tenant, pool.namespace, pool.owner, pool.spec, checked, pool.environment.context)
    pods = replace(pods, deployment=await pool.ensure_deployment(rendered))
    return await pool.take_over(model, pods, pool.slots, "", at_once=True)
