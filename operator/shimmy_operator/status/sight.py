"""Whether autoscalers see a load: they leave the number of pods as it is while they do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

PATIENCE_SECONDS: Final = 60.0
"""A new autoscaler looks before anybody has told a load, and metrics servers are replaced."""
_ACTIVE: Final = "ScalingActive"
_AT_ZERO: Final = "ScalingDisabled"
"""Reason of an autoscaler whose Deployment has no pod (pkg/controller/podautoscaler/horizontal.go of kubernetes)."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """An autoscaler that sees no load."""

    seconds: float
    """For how long."""
    says: str


def unseen(autoscaler: Mapping[str, Any] | None, now: datetime) -> Unseen | None:
    """What a HorizontalPodAutoscaler says of why it sees no load; None if it sees one, or needs none."""
    for condition in ((autoscaler or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] == _ACTIVE and condition["status"] == "False" and condition["reason"] != _AT_ZERO:
            since = datetime.fromisoformat(condition["lastTransitionTime"])
            return Unseen((now - since).total_seconds(), str(condition.get("message", "")))
    return None
