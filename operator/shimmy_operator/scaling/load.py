"""What the operator does about the load of a Deployment, second by second.

Between two looks of the autoscaler it adds the pods that a burst needs, by the autoscaler's own formula; and it lets
the last pod go.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Final

from shimmy_api.load import DeploymentTotal, PodLoad
from shimmy_operator.scaling.decisions import wanted

PEAK_SECONDS: Final = 30.0
"""How long the metrics server holds a peak."""
SHRINK_SECONDS: Final = PEAK_SECONDS - 5
"""How long a load is down before pods say what they have to do: an autoscaler may look just when the peak is over."""
_TOLERANCE: Final = 0.1
"""Within which an autoscaler leaves the number as it is, unless its controller is told otherwise.
Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details"""
_IDLE_SECONDS: Final = 10.0
"""How long routers have to agree."""
_REPORT_SECONDS: Final = 3.0
"""How long a router's word counts: one that is younger than the state was said since."""
_AGAIN_SECONDS: Final = 60.0
"""How long a Deployment is left alone after they did not."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an instance says of one of its Deployments."""

    model: str
    """Empty where models share the pods."""
    least: int
    target_percent: int
    idle_seconds: float
    at_once: bool
    """Whether a burst is answered at once."""
    gives_way: bool = False
    """Whether others of a higher priority need what it has."""


@dataclass(frozen=True, slots=True)
class Rest:
    """How long nobody has asked for a Deployment; times are of a clock that only goes on."""

    since: float | None = None
    """Since when; None while somebody asks."""
    idle: float | None = None
    """Since when it is said to be idle."""
    not_before: float = 0.0
    seen: bool = False
    """Whether it was looked at before."""


@dataclass(frozen=True, slots=True)
class Routers:
    """Who might send a request, as NAMESPACE/POD."""

    needed: Set[str]
    """Those that serve the tenant, by their pods."""
    heard: Set[str]
    """Those of the namespace of these that tell loads. Of other namespaces' nobody need ask: they do not serve it."""


def burst(rule: Rule, replicas: int, share: int, peak: int) -> int | None:
    """The number of pods to set at once; None where the autoscaler's pace will do."""
    if not rule.at_once or replicas < 1 or peak * 100 <= rule.target_percent * replicas * (1 + _TOLERANCE):
        return None
    number = min(wanted(peak, rule.target_percent), share)
    return number if number > replicas else None


def shrinks(rule: Rule, replicas: int, share: int, load: int) -> bool:
    """Whether the autoscaler takes pods away at this load."""
    return replicas > max(min(wanted(load, rule.target_percent), share), rule.least, 1)


def load_now(total: DeploymentTotal) -> int:
    """What is in flight, queued and held at this moment; the autoscaler sees it when the peak is over."""
    return total.held + sum(pod.in_flight + pod.queued for pod in total.pods.values())


def rest(before: Rest, rule: Rule, total: DeploymentTotal | None, now: float, *, awake: bool) -> Rest:
    """How long it has been at rest by now. `awake`: it has pods."""
    if total is None or not awake:
        return Rest(not_before=before.not_before)
    if total.peak > 0:
        return Rest(not_before=before.not_before, seen=True)
    if before.since is None:
        # Nobody has asked for as long as a peak is held, if the peak went by just now; else nobody knows.
        return Rest(now - PEAK_SECONDS if before.seen else now, None, before.not_before, seen=True)
    if before.idle is not None and now - before.idle > _IDLE_SECONDS:
        return replace(before, idle=None, not_before=now + max(rule.idle_seconds, _AGAIN_SECONDS))
    return before


def is_due(found: Rest, rule: Rule, now: float) -> bool:
    """Whether nobody has asked for long enough."""
    enough = 0.0 if rule.gives_way else rule.idle_seconds
    return found.since is not None and now - found.since >= enough and now >= found.not_before


def is_settled(found: Rest, now: float) -> bool:
    """Whether it has been idle for so long that every router's word is of since then."""
    return found.idle is not None and now - found.idle >= _REPORT_SECONDS


def unused(total: DeploymentTotal, ready: Set[str], *, refused: bool = False) -> bool:
    """Whether every ready pod says that it has nothing to do, and no router holds anything.

    There is such a pod, or none at all because Kubernetes has `refused` to make it.
    """
    nothing = PodLoad()
    return (bool(ready) or refused) and total.held == 0 and all(total.pods.get(pod) == nothing for pod in ready)


def all_listen(routers: Routers) -> bool:
    """Whether every router that serves the tenant is heard."""
    return routers.needed <= routers.heard


def all_hold(routers: Routers, total: DeploymentTotal) -> bool:
    """Whether every router would hold a request, those included that are heard and whose pods are not known."""
    return all_listen(routers) and routers.heard <= {*total.holding}


def deletion_costs(total: DeploymentTotal) -> Mapping[str, int]:
    """What would be lost with each pod: its requests."""
    return {name: pod.in_flight + pod.queued for name, pod in total.pods.items()}
