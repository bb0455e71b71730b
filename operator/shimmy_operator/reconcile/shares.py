"""Who has to share with whom: the claims of Deployments on maxReplicas and on a tenant's GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from shimmy_api import names
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.tenant import Quota
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.reconcile.children import is_going
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.quantity import amount
from shimmy_operator.render.autoscaler import KIND
from shimmy_operator.scaling.allotment import Claim, Limits, allot, attainable
from shimmy_operator.scaling.bounds import bounds_now
from shimmy_operator.scaling.decisions import wanted
from shimmy_operator.status import instance as status


@dataclass(frozen=True, slots=True)
class Shares:
    """What every Deployment gets that has to share with those of one instance."""

    claims: tuple[Claim, ...]
    limits: Limits
    given: Mapping[str, int]
    """By the name of the Deployment."""

    @property
    def attainable(self) -> dict[str, int]:
        """Of those, what the tenant's GPUs suffice for now."""
        return attainable(self.claims, self.limits, self.given)


def deployments_of(instance: str, spec: ShimmyInstanceSpec) -> dict[str, str]:
    """Names of an instance's Deployments, and the model of each: empty where models share it."""
    if spec.placement == "Shared":
        return {names.slots(instance): ""}
    return {names.serving(instance, model): model for model in spec.models}


def share(environment: Environment, tenant: str, namespace: str, name: str, spec: ShimmyInstanceSpec) -> Shares:
    """The shares of an instance's Deployments, and of those that they share a tenant's GPUs with."""
    quota = quota_of(environment, tenant)
    bounded = quota is not None and quota.gpus is not None and _gpus(spec, quota) > 0
    if quota is None or not bounded:
        claims, cap = _claims(environment, namespace, name, spec, 0)
        limits = Limits({name: cap})
        return Shares(claims, limits, allot(claims, limits))
    found: list[Claim] = []
    caps, gpus = {}, quota.gpus or 0
    for other, its in _instances(environment, namespace):
        each = _gpus(its, quota)
        if each == 0:
            continue
        if its.autoscaling is None:
            running = (environment.store.get("Deployment", namespace, one) for one in deployments_of(other, its))
            gpus -= each * sum(status.wanted(one) for one in running)
            continue
        claims, caps[other] = _claims(environment, namespace, other, its, each)
        found += claims
    limits = Limits(caps, max(gpus, 0))
    return Shares(tuple(found), limits, allot(found, limits))


def load_of(environment: Environment, deployment: Manifest) -> int | None:
    """The load of a Deployment as the metrics server or the autoscaler saw it last; None if neither did."""
    key = reference(deployment)
    told = environment.scaling.peaks.get(key)
    return told if told is not None else _seen_load(environment.store.get(KIND, key.namespace, key.name))


def _seen_load(autoscaler: Manifest | None) -> int | None:
    found = (autoscaler or {}).get("status") or {}
    for metric in found.get("currentMetrics") or ():
        average = amount(str(((metric.get("external") or {}).get("current") or {}).get("averageValue", "")))
        if average is not None:
            # The average is rounded up to a thousandth, and loads are whole numbers.
            return int((average * int(found.get("currentReplicas") or 1)).to_integral_value(rounding="ROUND_HALF_UP"))
    return None


def _claims(
    environment: Environment, namespace: str, name: str, spec: ShimmyInstanceSpec, gpus: int
) -> tuple[tuple[Claim, ...], int]:
    """The claims of an autoscaled instance's Deployments, and its maxReplicas."""
    deployments = deployments_of(name, spec)
    assert spec.autoscaling is not None  # noqa: S101 - the callers looked
    bounds = bounds_now(spec.autoscaling, len(deployments), environment.clock())
    claims = []
    for deployment in deployments:
        live = environment.store.get("Deployment", namespace, deployment)
        if live is None or is_going(live):
            continue
        autoscaler = environment.store.get(KIND, namespace, deployment)
        now, load = status.wanted(live), load_of(environment, live)
        claims.append(
            Claim(
                name=deployment,
                instance=name,
                least=bounds.least,
                now=now,
                wants=now if load is None or now == 0 else wanted(load, spec.autoscaling.target_utilization),
                share=None if autoscaler is None else int(autoscaler["spec"]["maxReplicas"]),
                priority=spec.autoscaling.priority,
                gpus=gpus,
                refused=status.refused(live),
            )
        )
    return tuple(claims), bounds.most


def _instances(environment: Environment, namespace: str) -> list[tuple[str, ShimmyInstanceSpec]]:
    found = []
    for manifest in environment.store.within("ShimmyInstance", namespace):
        if is_going(manifest):
            continue
        try:
            found.append((str(manifest["metadata"]["name"]), ShimmyInstanceSpec.model_validate(manifest["spec"])))
        except ValidationError:
            continue  # what an older schema let in has no pods of this spec
    return found


def quota_of(environment: Environment, tenant: str) -> Quota | None:
    """What a tenant may request; None if there is no such tenant."""
    manifest = environment.store.find(Reference("ShimmyTenant", None, tenant))
    return None if manifest is None else Quota.model_validate(manifest["spec"].get("quota") or {})


def _gpus(spec: ShimmyInstanceSpec, quota: Quota) -> int:
    """GPUs of each pod that the quota counts."""
    return spec.gpu.count if spec.gpu is not None and spec.gpu.resource_name == quota.gpu_resource_name else 0
