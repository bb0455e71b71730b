"""What was seen of one pattern, and what it comes to. Pure."""

import math
from dataclasses import dataclass, field
from typing import Final

STABILIZATION_SECONDS: Final = 300.0
"""Kubernetes' default for scaling down: fewer replicas sooner after more are a decision taken back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment."""

    at: float
    demand: float
    replicas: int
    """That the Deployment is told to have."""
    ready: int


@dataclass
class Record:
    """All moments of one pattern."""

    name: str
    min_replicas: int
    max_replicas: int
    samples: list[Sample] = field(default_factory=list)

    def ideal(self, demand: float) -> int:
        """Replicas that the demand needs, without any foresight or caution."""
        return min(max(math.ceil(demand), self.min_replicas), self.max_replicas)

    @property
    def over_provisioning(self) -> float:
        """Replica seconds, in those that the demand needed."""
        used = needed = 0.0
        for one, following in zip(self.samples, self.samples[1:], strict=False):
            seconds = following.at - one.at
            used += one.replicas * seconds
            needed += self.ideal(one.demand) * seconds
        return used / needed if needed else math.inf

    @property
    def reversals(self) -> int:
        """How often fewer replicas came within the time in which the autoscaler does not scale down."""
        count, rose = 0, -math.inf
        for one, following in zip(self.samples, self.samples[1:], strict=False):
            if following.replicas > one.replicas:
                rose = following.at
            elif following.replicas < one.replicas and following.at - rose < STABILIZATION_SECONDS:
                count += 1
                rose = -math.inf
        return count

    @property
    def changes(self) -> int:
        """How often the number of replicas changed."""
        return sum(a.replicas != b.replicas for a, b in zip(self.samples, self.samples[1:], strict=False))
