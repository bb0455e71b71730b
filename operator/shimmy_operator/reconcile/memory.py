"""What the operator knows of scaling beside the objects. Losing it, at a restart, only makes it wait and look again."""

from dataclasses import dataclass, field

from shimmy_api.instance import ScalingDecision
from shimmy_operator.cluster.resources import Reference


@dataclass(slots=True)
class Starts:
    """Starts of the pods of one Deployment."""

    pods: dict[str, bool] = field(default_factory=dict)
    """By uid: whether the pod was ready when it was last seen."""
    recent_seconds: list[int] = field(default_factory=list)
    """From creation until ready, oldest first."""


@dataclass(slots=True)
class ScalingMemory:
    """By the reference of the Deployment."""

    decisions: dict[Reference, ScalingDecision] = field(default_factory=dict)
    """The last one that the operator made; the status tells it when the Deployment shows it."""
    starts: dict[Reference, Starts] = field(default_factory=dict)
    owners: dict[Reference, Reference] = field(default_factory=dict)
    """The instances of the Deployments."""

    def forget(self, instance: Reference) -> None:
        """Forget what belongs to an instance that is gone."""
        for deployment in [key for key, owner in self.owners.items() if owner == instance]:
            del self.owners[deployment]
            self.decisions.pop(deployment, None)
            self.starts.pop(deployment, None)
