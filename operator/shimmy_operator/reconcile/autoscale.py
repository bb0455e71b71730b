"""Has an instance's Deployments scaled by load: autoscalers, their bounds, and what the status tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from shimmy_api.autoscaling import Autoscaling
from shimmy_api.conditions import Conditions
from shimmy_api.instance import (
    AutoscalingStatus,
    ColdStarts,
    ScalingDecision,
    ServedModel,
    ShimmyInstanceStatus,
)
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.reconcile.children import ensure, prune
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.memory import Starts
from shimmy_operator.reconcile.pool import Arranged, Pool
from shimmy_operator.reconcile.refused import try_again
from shimmy_operator.reconcile.shares import Shares, deployments_of, load_of, share
from shimmy_operator.render.autoscaler import KIND, render_autoscaler
from shimmy_operator.scaling import decisions
from shimmy_operator.scaling.allotment import giving_way
from shimmy_operator.scaling.bounds import Bounds
from shimmy_operator.scaling.cold_starts import KEPT, summary
from shimmy_operator.scaling.load import Rule
from shimmy_operator.status import instance as status
from shimmy_operator.status.conditions import Verdict
from shimmy_operator.status.pods import ready_seconds
from shimmy_operator.status.scaling import Shortage, awake, scaling_conditions, with_cold_starts
from shimmy_operator.status.sight import PATIENCE_SECONDS, unseen


@dataclass(frozen=True, slots=True)
class Scaled:
    """How an instance's pods are scaled."""

    models: list[ServedModel]
    status: AutoscalingStatus | None = None
    """None where `spec.replicas` decides."""
    conditions: Conditions = ()
    news: tuple[Verdict, ...] = ()


async def end_scaling(pool: Pool, key: Reference) -> None:
    """Have load decide over nothing of an instance."""
    await prune(pool.environment, KIND, pool.namespace, pool.owner.uid, ())
    pool.environment.scaling.rule(key, {})


async def autoscale(
    pool: Pool,
    key: Reference,
    autoscaling: Autoscaling,
    bounds: Bounds,
    arranged: Arranged,
    before: ShimmyInstanceStatus,
    generation: int,
) -> Scaled:
    """Have an autoscaler for each Deployment of the instance's placement, and start what sleeps and must not."""
    environment = pool.environment
    if bounds.until is not None:
        environment.later(key, max((bounds.until - environment.clock()).total_seconds(), 0) + 1)
    deployments = deployments_of(pool.owner.name, pool.spec)
    live = {name: found for name in deployments if (found := pool.deployment(name)) is not None}
    shares = share(environment, pool.tenant, pool.namespace, pool.owner.name, pool.spec)
    await _ensure_autoscalers(pool, autoscaling, bounds, live, shares)
    await try_again(environment, pool.tenant, pool.namespace, shares.claims, live)
    environment.scaling.rule(key, _rules(autoscaling, bounds, deployments, live, shares))
    for name, deployment in live.items():
        if status.wanted(deployment) == 0 and bounds.least > 0:
            await _lift(environment, deployment, deployments[name], bounds)
    told = _decisions(pool, deployments, live, before)
    await prune(environment, KIND, pool.namespace, pool.owner.uid, live)
    return Scaled(
        models=[_model(pool, model, before, live) for model in arranged.models],
        status=AutoscalingStatus(
            min_replicas=bounds.least,
            max_replicas=bounds.most,
            schedules=bounds.on,
            decisions=decisions.remembered(told, before.autoscaling.decisions if before.autoscaling else ()),
        ),
        conditions=scaling_conditions(
            bounds,
            _shortages(pool, deployments, shares),
            _blind(pool, key, live),
            before.conditions,
            generation,
            environment.now,
        ),
        news=tuple(Verdict(True, one.reason, _text(pool, one)) for one in told),
    )


def _rules(
    autoscaling: Autoscaling, bounds: Bounds, models: dict[str, str], live: dict[str, Manifest], shares: Shares
) -> dict[Reference, Rule]:
    giving = giving_way(shares.claims, shares.attainable)
    return {
        reference(deployment): Rule(
            model=models[name],
            least=bounds.least,
            target_percent=autoscaling.target_utilization,
            idle_seconds=autoscaling.idle_seconds,
            at_once=autoscaling.behavior.scale_up is None,
            gives_way=name in giving,
        )
        for name, deployment in live.items()
    }


async def _ensure_autoscalers(
    pool: Pool, autoscaling: Autoscaling, bounds: Bounds, live: dict[str, Manifest], shares: Shares
) -> None:
    """What loses comes first, so that together they never have more than there is."""
    held = {claim.name: claim.share or 0 for claim in shares.claims}
    for name in sorted(live, key=lambda name: shares.given[name] - held[name]):
        autoscaler = render_autoscaler(live[name], pool.owner, autoscaling, bounds.least, shares.given[name])
        await ensure(pool.environment, autoscaler)


async def _lift(environment: Environment, deployment: Manifest, model: str, bounds: Bounds) -> None:
    reason = decisions.SCHEDULE if bounds.scheduled else decisions.BOUNDS
    message = f"0 to {bounds.least}: minReplicas is {bounds.least}" + (
        f" by {', '.join(bounds.on)}." if bounds.on else "."
    )
    await set_replicas(environment, deployment, bounds.least, model, reason, message)


async def set_replicas(
    environment: Environment, deployment: Manifest, replicas: int, model: str, reason: str, message: str
) -> None:
    """Set a Deployment's number of pods, as it was seen, and remember why.

    Raises:
        ConflictError: it has changed since.
    """
    key, before = reference(deployment), status.wanted(deployment)
    known = environment.scaling.decisions
    # Before it is written: the change may be seen, and told, before the answer is here.
    made = known[key] = decisions.decision(model, before, replicas, reason, message, environment.clock())
    try:
        await environment.cluster.scale(key, replicas, deployment["metadata"]["resourceVersion"])
    except BaseException:
        if known.get(key) is made:
            del known[key]
        raise


def _decisions(
    pool: Pool, deployments: dict[str, str], live: dict[str, Manifest], before: ShimmyInstanceStatus
) -> list[ScalingDecision]:
    """What changed since the status was written."""
    if before.autoscaling is None:
        return []
    environment, found = pool.environment, []
    known = {model.name: model.replicas for model in before.models}
    for name, deployment in live.items():
        replicas = known.get(deployments[name] or pool.spec.models[0])
        if replicas is None:
            continue
        load = load_of(environment, deployment)
        seen = "the autoscaler set it" if load is None else f"the load is {load}"
        own = environment.scaling.decisions.get(reference(deployment))
        if own is not None and own in before.autoscaling.decisions:
            del environment.scaling.decisions[reference(deployment)]
            own = None
        made = decisions.explain(deployments[name], replicas, status.wanted(deployment), own, seen, environment.clock())
        found += [made] if made else []
    return found


def _shortages(pool: Pool, deployments: dict[str, str], shares: Shares) -> list[Shortage]:
    """Of this instance, with who has what."""
    found, given = [], shares.attainable
    for claim in shares.claims:
        if claim.name not in deployments or claim.asks <= given[claim.name]:
            continue
        own = sum(given[one.name] for one in shares.claims if one.counts and one.instance == claim.instance)
        cap = shares.limits.pods[claim.instance]
        rivals = [one for one in shares.claims if one.counts and (own < cap or one.instance == claim.instance)]
        rivals.sort(key=lambda one: (-one.priority, one.instance))
        has = ", ".join(f"{one.name} {given[one.name]}" for one in rivals)
        if own >= cap:
            bound, remedy = f"maxReplicas is {cap}", "Raise spec.autoscaling.maxReplicas."
        else:
            bound = f"the tenant has {shares.limits.gpus} GPUs to share"
            remedy = "Raise spec.quota.gpus of the tenant, or spec.autoscaling.priority."
        what = deployments[claim.name] or pool.owner.name
        found.append(Shortage(what, claim.asks, given[claim.name], f"{bound}; shares: {has}. {remedy}"))
    return found


def _blind(pool: Pool, key: Reference, live: dict[str, Manifest]) -> str:
    """What autoscalers say that have seen no load for too long; empty if none has."""
    environment, found = pool.environment, set()
    for name in live:
        autoscaler = unseen(environment.store.get(KIND, pool.namespace, name), environment.clock())
        if autoscaler is None:
            continue
        if autoscaler.seconds >= PATIENCE_SECONDS:
            found.add(autoscaler.says)
        else:
            environment.later(key, PATIENCE_SECONDS - autoscaler.seconds)
    return "; ".join(sorted(found))


def _model(pool: Pool, model: ServedModel, before: ShimmyInstanceStatus, live: dict[str, Manifest]) -> ServedModel:
    shared = pool.spec.placement == "Shared"
    pods = pool.slots if shared else pool.own(model.name)
    deployment = pods.deployment
    previous = next((one for one in before.models if one.name == model.name), None)
    if deployment is None or deployment["metadata"]["name"] not in live:
        return with_cold_starts(model, previous.cold_starts if previous else None)
    alive = pool.alive(pods)
    model = awake(model, previous, alive, idle=reference(deployment) in pool.environment.scaling.idle)
    return with_cold_starts(model, _cold_starts(pool.environment, reference(deployment), alive, previous))


def _cold_starts(
    environment: Environment, deployment: Reference, pods: Sequence[Manifest], previous: ServedModel | None
) -> ColdStarts | None:
    """Counts the pods that were seen before they were ready; those that a restart missed are not known to be new."""
    starts = environment.scaling.starts.get(deployment)
    if starts is None:
        told = previous.cold_starts if previous else None
        starts = Starts(recent_seconds=list(told.recent_seconds if told else ()))
        environment.scaling.starts[deployment] = starts
    seen = {}
    for pod in pods:
        uid, seconds = pod["metadata"]["uid"], ready_seconds(pod)
        if seconds is not None and starts.pods.get(uid) is False:
            starts.recent_seconds = [*starts.recent_seconds, seconds][-KEPT:]
        seen[uid] = seconds is not None or starts.pods.get(uid, False)
    starts.pods = seen
    return summary(starts.recent_seconds)


def _text(pool: Pool, made: ScalingDecision) -> str:
    return f"{made.model or pool.owner.name}: {made.message}"
