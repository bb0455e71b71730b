"""What the operator knows beside the objects. Losing it, at a restart, only makes it wait and look again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shimmy_api.instance import ScalingDecision
from shimmy_operator.cluster.resources import Reference
from shimmy_operator.scaling.load import Rule


@dataclass(slots=True)
class Starts:
    """Starts of the pods of one Deployment."""

    pods: dict[str, bool] = field(default_factory=dict)
    """By uid: whether the pod was ready when it was last seen."""
    recent_seconds: list[int] = field(default_factory=list)
    """From creation until ready, oldest first."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A Deployment that load decides over."""

    instance: Reference
    rule: Rule


@dataclass(slots=True)
class Trust:
    """Whom routers take for the metrics server."""

    authorities: str | None = None
    """Of its certificate, PEM; None while that is not known."""


@dataclass(slots=True)
class ScalingMemory:
    """By the reference of the Deployment."""

    decisions: dict[Reference, ScalingDecision] = field(default_factory=dict)
    """The last one that the operator made; the status tells it when the Deployment shows it."""
    starts: dict[Reference, Starts] = field(default_factory=dict)
    ruled: dict[Reference, Ruled] = field(default_factory=dict)
    """All that load decides over."""
    peaks: dict[Reference, int] = field(default_factory=dict)
    """Loads as the metrics server told them last; empty while it is away."""
    asked: dict[Reference, int] = field(default_factory=dict)
    """Pods that the load asked for when it was last looked at."""
    idle: set[Reference] = field(default_factory=set)
    """Those whose last pod goes when all routers agree."""

    _of: dict[Reference, frozenset[Reference]] = field(default_factory=dict)

    def rule(self, instance: Reference, rules: Mapping[Reference, Rule]) -> None:
        """Load decides over these Deployments of an instance, and over no others of it."""
        for deployment in self._of.pop(instance, frozenset()) - rules.keys():
            self.ruled.pop(deployment, None)
            self.decisions.pop(deployment, None)
            self.starts.pop(deployment, None)
            self.asked.pop(deployment, None)
            self.idle.discard(deployment)
        if rules:
            self._of[instance] = frozenset(rules)
            self.ruled |= {deployment: Ruled(instance, rule) for deployment, rule in rules.items()}
