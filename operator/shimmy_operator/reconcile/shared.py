"""Placement Shared: the models of an instance share its pods."""

from dataclasses import replace

from shimmy_api import names
from shimmy_operator.reconcile.checked import Lack, find_checked
from shimmy_operator.reconcile.pool import Arranged, Pods, Pool, Taken
from shimmy_operator.render.deployment import ServedModel
from shimmy_operator.render.slots import render_slots
from shimmy_operator.status import instance as status


async def arrange_shared(pool: Pool) -> Arranged:
    """Have one Deployment, and a Service for each model that its pods may load.

    A model whose file is not checked is left out. A model's own pods stay until all slots are ready for it.
    """
    found = {model: find_checked(pool.environment, pool.namespace, model) for model in pool.spec.models}
    checked = [model for model in found.values() if isinstance(model, ServedModel)]
    slots = pool.slots
    known = {model for model in found if pool.selected(model) == slots.selector}
    awaited = any(isinstance(lack, Lack) and lack.passing and model in known for model, lack in found.items())
    if checked and not (awaited and slots.deployment):
        slots = await _render(pool, slots, checked)
        known = {model.name for model in checked}
    # Otherwise the slots stay as they are while a file that they serve is checked anew: they would start over twice.
    taken = [await _serve(pool, model, found[model], slots, loadable=model in known) for model in pool.spec.models]
    serving = {model: names.serving(pool.owner.name, model) for model in pool.spec.models}
    return Arranged(
        models=[one.model for one in taken],
        replicas=status.wanted(slots.deployment),
        keep={
            "Deployment": {names.slots(pool.owner.name)} | {serving[one.model.name] for one in taken if one.old},
            "Service": {serving[one.model.name] for one in taken if one.old or one.new},
        },
    )


async def _render(pool: Pool, slots: Pods, models: list[ServedModel]) -> Pods:
    context = pool.environment.context
    rendered = render_slots(pool.tenant, pool.namespace, pool.owner, pool.spec, models, context)
    return replace(slots, deployment=await pool.ensure_deployment(rendered))


async def _serve(pool: Pool, model: str, found: ServedModel | Lack, slots: Pods, *, loadable: bool) -> Taken:
    new = slots if loadable else replace(slots, deployment=None)
    waits_for = found.message if isinstance(found, Lack) else ""
    # Slots that run may not know the model yet: it gets its Service when they do.
    return await pool.take_over(model, new, pool.own(model), waits_for, at_once=False)
