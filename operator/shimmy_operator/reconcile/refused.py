"""Pods that a tenant's quota refused: Kubernetes is made to try again as soon as there is a GPU."""

from collections.abc import Mapping, Sequence
from typing import Final

from shimmy_api import names
from shimmy_operator.cluster.resources import Manifest, reference
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.quantity import amount
from shimmy_operator.reconcile.shares import quota_of
from shimmy_operator.render.quota import NAME, gpu_bound
from shimmy_operator.scaling.allotment import Claim, to_try

ANNOTATION: Final = f"{names.GROUP}/quota-seen"
"""On Deployments: resourceVersion of the ResourceQuota that had room when a refused pod was tried again."""


async def try_again(
    environment: Environment, tenant: str, namespace: str, claims: Sequence[Claim], live: Mapping[str, Manifest]
) -> None:
    """Have those of the Deployments tried again that there are GPUs for, after those of a higher priority.

    A ReplicaSet that was refused a pod waits twice as long each time, up to 1000 s, whatever becomes of the quota. It
    tries at once when it changes, as it does with the annotations of its Deployment.
    Source: https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/replicaset/replica_set.go
    """
    quota = environment.store.get("ResourceQuota", namespace, NAME)
    said = quota_of(environment, tenant)
    if quota is None or said is None:
        return
    seen = str(quota["metadata"]["resourceVersion"])
    for name in to_try(claims, _free(quota, gpu_bound(said))) & live.keys():
        if (live[name]["metadata"].get("annotations") or {}).get(ANNOTATION) != seen:
            await environment.cluster.annotate(reference(live[name]), {ANNOTATION: seen})


def _free(quota: Manifest, bound: str) -> int:
    """What is left of a bound, as Kubernetes counts it; quantities of thousands end in k."""
    hard, used = (
        amount(str((quota.get("status", {}).get(which) or {}).get(bound, 0))) or 0 for which in ("hard", "used")
    )
    return int(hard - used)
