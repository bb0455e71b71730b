"""Reconciles any object: finds it, runs its kind's function, writes its status."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import ValidationError

from shimmy_api.base import ApiModel
from shimmy_api.conditions import READY
from shimmy_api.kinds import KINDS
from shimmy_operator.cluster.errors import ForbiddenError, InvalidError
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.children import is_going
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.instance import reconcile_instance
from shimmy_operator.reconcile.model import reconcile_model
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.reconcile.statuses import write_status
from shimmy_operator.reconcile.tenant import reconcile_tenant
from shimmy_operator.status.conditions import Verdict, ready_condition

_RECONCILERS: Final[dict[str, Callable[[Environment, Manifest], Awaitable[Outcome[Any]]]]] = {
    "ShimmyTenant": reconcile_tenant,
    "ShimmyModel": reconcile_model,
    "ShimmyInstance": reconcile_instance,
}
_STATUSES: Final[dict[str, type[ApiModel]]] = {kind.kind: kind.status for kind in KINDS}


async def reconcile(environment: Environment, key: Reference) -> None:
    """Bring about what an object says; nothing if it is gone or going: its children go by their owner references.

    Raises:
        ClusterError: it did not work; try again later. Where trying again alone will not help, the status says so.
    """
    manifest = environment.store.find(key)
    if manifest is None or is_going(manifest):
        environment.progress_written.pop(key, None)
        environment.scaling.rule(key, {})
        return
    try:
        outcome = await _RECONCILERS[key.kind](environment, manifest)
    except ValidationError as error:
        await _fail(environment, manifest, Verdict(False, "SpecInvalid", str(error)))
    except (ForbiddenError, InvalidError) as error:
        reason = "Forbidden" if isinstance(error, ForbiddenError) else "Refused"
        await _fail(environment, manifest, Verdict(False, reason, f"The API server refused a child object. {error}"))
        raise
    else:
        await write_status(environment, manifest, outcome)


async def _fail(environment: Environment, manifest: Manifest, verdict: Verdict) -> None:
    """Tell in the condition Ready alone; the rest of the status stays as it was."""
    before: Any = _STATUSES[manifest["kind"]].model_validate(manifest.get("status") or {})
    generation = manifest["metadata"]["generation"]
    others = tuple(condition for condition in before.conditions if condition.type != READY)
    ready = ready_condition(verdict, before.conditions, generation, environment.now)
    update = {"observed_generation": generation, "conditions": (*others, ready)}
    await write_status(environment, manifest, Outcome(before, before.model_copy(update=update)))
