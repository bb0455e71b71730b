"""Has a tenant's folders looked through, and turns what was found into ShimmyModels."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.discovery import DiscoveryReport, Skipped, skipped
from shimmy_api.handover import unpack
from shimmy_api.tenant import Discovery, DiscoverySource
from shimmy_operator.cluster.errors import ForbiddenError, InvalidError
from shimmy_operator.cluster.resources import Manifest, reference
from shimmy_operator.reconcile.children import ensure, ensure_created, is_going, is_owned, prune
from shimmy_operator.reconcile.compare import differs
from shimmy_operator.reconcile.discovery_plan import Plan, Seen, make_plan
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.statuses import tell
from shimmy_operator.render.discovered import WantedModel, render_discovered
from shimmy_operator.render.discovery import (
    render_account,
    render_binding,
    render_config_map,
    render_job,
    render_policy,
    render_schedule,
    revision_of,
    split_source,
)
from shimmy_operator.render.metadata import Owner, stamped
from shimmy_operator.status import discovery as status
from shimmy_operator.status.conditions import Verdict

_NAME = names.DISCOVERY_ACCESS
_OTHERS = frozenset({names.FETCH_AUTHORITIES, names.TENANT_ROUTER, names.ROUTER_SCALE})
"""ConfigMaps and RoleBindings of a tenant that are none of discovery's."""
_NAMED_IN_EVENT = 5


@dataclass(frozen=True, slots=True)
class _Looked:
    """A source: its last report, and what is to be told of it, unless that is what the report says."""

    source: DiscoverySource
    report: DiscoveryReport | None
    problem: Verdict | None

    @property
    def seen(self) -> Seen:
        current = self.report is not None and self.report.revision == revision_of(self.source)
        return Seen(self.source, self.report if current else None)


async def reconcile_discovery(
    environment: Environment, tenant: Manifest, namespace: str, discovery: Discovery | None
) -> status.Discovered | None:
    """Have Jobs for each source, and the ShimmyModels that their reports name; None where nothing is asked for."""
    owner = Owner("ShimmyTenant", tenant["metadata"]["name"], tenant["metadata"]["uid"])
    if discovery is None:
        await _withdraw(environment, owner, namespace)
        return None
    config_map = await _ensure_access(environment, owner, namespace)
    keep = {names.discovery_schedule(source.name) for source in discovery.sources}
    await prune(environment, "CronJob", namespace, owner.uid, keep)
    keep = {names.discovery_job(source.name, revision_of(source)) for source in discovery.sources}
    await prune(environment, "Job", namespace, owner.uid, keep)
    looked = [await _look(environment, owner, namespace, discovery, source, config_map) for source in discovery.sources]
    plan = _plan(environment, namespace, discovery, looked)
    await _carry_out(environment, tenant, namespace, plan)
    return _status(environment, namespace, looked, plan)


async def _withdraw(environment: Environment, owner: Owner, namespace: str) -> None:
    """Take the Jobs and their rights away; the models stay."""
    for kind in ("CronJob", "Job", "RoleBinding", "ConfigMap"):
        await prune(environment, kind, namespace, owner.uid, _OTHERS)
    if environment.store.get("NetworkPolicy", namespace, _NAME) is not None:
        # Walls are closed, never deleted: the operator has no right to.
        await ensure(environment, render_policy(owner.name, namespace, environment.context, wanted=False))


async def _ensure_access(environment: Environment, owner: Owner, namespace: str) -> Manifest:
    await ensure(environment, render_account(owner.name, namespace))
    await ensure(environment, render_binding(owner.name, namespace, owner))
    await ensure(environment, render_policy(owner.name, namespace, environment.context, wanted=True))
    return await ensure(environment, render_config_map(owner.name, namespace, owner))


async def _look(
    environment: Environment,
    owner: Owner,
    namespace: str,
    discovery: Discovery,
    source: DiscoverySource,
    config_map: Manifest,
) -> _Looked:
    problem, report = None, None
    try:
        report = _report(config_map, source.name)
    except ValueError as error:
        problem = status.result_invalid(_NAME, error)
    claim, _ = split_source(source)
    live = environment.store.get("PersistentVolumeClaim", namespace, claim)
    if live is None or is_going(live):
        return _Looked(source, report, status.claim_not_found(claim))
    try:
        schedule = render_schedule(owner.name, namespace, owner, discovery, source, environment.context)
        await ensure(environment, schedule)
    except InvalidError as error:
        problem = status.schedule_refused(error)
    jobs = _of_source(environment, "Job", namespace, source)
    pods = _of_source(environment, "Pod", namespace, source)
    if report is not None and report.revision == revision_of(source):
        return _Looked(source, report, problem or status.failed(jobs, pods, report.finished_at))
    job = environment.store.get("Job", namespace, names.discovery_job(source.name, revision_of(source)))
    if job is None or not is_owned(job, owner.uid):
        await ensure(environment, render_job(owner.name, namespace, owner, source, environment.context))
    return _Looked(source, report, problem or status.no_report(jobs, pods))


def _report(config_map: Manifest, source: str) -> DiscoveryReport | None:
    """What the pods of a source handed over.

    Raises:
        ValueError: it cannot be read. Whoever may write ConfigMaps in the tenant's namespace can write this one.
    """
    packed = (config_map.get("binaryData") or {}).get(source)
    return None if packed is None else unpack(base64.b64decode(packed))


def _of_source(environment: Environment, kind: str, namespace: str, source: DiscoverySource) -> list[Manifest]:
    return [
        manifest
        for manifest in environment.store.within(kind, namespace)
        if (manifest["metadata"].get("labels") or {}).get(names.LABEL_DISCOVERY_SOURCE) == source.name
    ]


def _plan(environment: Environment, namespace: str, discovery: Discovery, looked: Sequence[_Looked]) -> Plan:
    existing = environment.store.within("ShimmyModel", namespace)
    instances = environment.store.within("ShimmyInstance", namespace)
    served = {model for instance in instances for model in instance["spec"]["models"]}
    return make_plan([one.seen for one in looked], existing, served, retire=discovery.retire == "Delete")


async def _carry_out(environment: Environment, tenant: Manifest, namespace: str, plan: Plan) -> None:
    done: dict[str, list[str]] = {"added": [], "updated": [], "retired": []}
    for model in plan.wanted:
        try:
            change = await _bring(environment, tenant["metadata"]["name"], namespace, model)
        except (InvalidError, ForbiddenError) as error:
            reason = "Forbidden" if isinstance(error, ForbiddenError) else "Refused"
            plan.skips[model.source].append(skipped(model.name, reason, str(error)))
            continue
        if change is not None:
            done[change].append(model.name)
    for manifest in plan.retired:
        if not is_going(manifest):
            metadata = manifest["metadata"]
            # As it was seen: who took the label off just now has made it their own.
            await environment.cluster.delete(reference(manifest), metadata["uid"], metadata["resourceVersion"])
            environment.store.remove(manifest)
            done["retired"].append(manifest["metadata"]["name"])
    if any(done.values()):
        text = "; ".join(f"{verb} {_some(changed)}" for verb, changed in done.items() if changed)
        await tell(environment, tenant, Verdict(True, "ModelsChanged", f"discovery {text}"))


async def _bring(environment: Environment, tenant: str, namespace: str, model: WantedModel) -> str | None:
    """Make or change a ShimmyModel; says which, None if it is as it should be. Fields that users set stay."""
    rendered = render_discovered(tenant, namespace, model)
    wanted = stamped(rendered)
    live = environment.store.find(reference(wanted))
    if live is None:
        await ensure_created(environment, rendered)
        return "added"
    if is_going(live) or not differs(wanted, live):
        return None
    wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]  # as it was seen, or not at all
    environment.store.put(await environment.cluster.apply(wanted))
    return "updated"


def _some(changed: list[str]) -> str:
    more = len(changed) - _NAMED_IN_EVENT
    return ", ".join(changed[:_NAMED_IN_EVENT]) + (f" and {more} more" if more > 0 else "")


def _status(environment: Environment, namespace: str, looked: Sequence[_Looked], plan: Plan) -> status.Discovered:
    verdicts, sources = [], []
    existing = environment.store.within("ShimmyModel", namespace)
    by = [(model["metadata"].get("labels") or {}).get(names.LABEL_DISCOVERED_BY) for model in existing]
    for one in looked:
        skips: list[Skipped] = plan.skips.get(one.source.name, [])
        models = by.count(one.source.name)
        sources.append(status.source_status(one.source, one.report, models, skips))
        verdict = one.problem
        if verdict is None and one.report is not None:
            verdict = status.found_verdict(one.report, models, skips)
        if verdict is not None:
            verdicts.append((one.source, verdict))
    return status.Discovered(status.overall(verdicts), tuple(sorted(sources, key=lambda one: one.name)))
