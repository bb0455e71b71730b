"""The HorizontalPodAutoscaler of a Deployment whose number of pods load decides."""

from typing import Any, Final

from shimmy_api import names
from shimmy_api.autoscaling import Autoscaling, ScalingRules
from shimmy_operator.render.metadata import Manifest, Owner, metadata

KIND: Final = "HorizontalPodAutoscaler"
_AT_ONCE: Final[dict[str, Any]] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [{"type": "Pods", "value": 1000, "periodSeconds": 15}],
}
"""By itself an autoscaler adds four pods or as many again each 15 s, which would hold up what a burst needs."""


def render_autoscaler(deployment: Manifest, owner: Owner, autoscaling: Autoscaling, least: int, most: int) -> Manifest:
    """Scales a Deployment between `least`, but 1 at least, and `most` by the load that routers report.

    It has the Deployment's name. At 0 pods Kubernetes switches it off.
    """
    name, low = deployment["metadata"]["name"], max(least, 1)
    labels = {key: value for key, value in deployment["metadata"]["labels"].items() if key in _LABELS}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": KIND,
        "metadata": metadata(name, deployment["metadata"]["namespace"], labels, owner),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": low,
            "maxReplicas": max(most, low),
            "metrics": [{"type": "External", "external": _load(name, autoscaling.target_utilization)}],
            "behavior": _behavior(autoscaling),
        },
    }


_LABELS: Final = frozenset(
    {
        names.LABEL_PART_OF,
        names.LABEL_MANAGED_BY,
        names.LABEL_TENANT,
        names.LABEL_COMPONENT,
        names.LABEL_INSTANCE_OF,
        names.LABEL_MODEL,
        names.LABEL_PLACEMENT,
    }
)


def _load(deployment: str, percent: int) -> Manifest:
    whole, rest = divmod(percent, 100)
    return {
        "metric": {"name": names.METRIC_LOAD, "selector": {"matchLabels": {names.METRIC_DEPLOYMENT: deployment}}},
        "target": {"type": "AverageValue", "averageValue": f"{percent * 10}m" if rest else str(whole)},
    }


def _behavior(autoscaling: Autoscaling) -> Manifest:
    up, down = autoscaling.behavior.scale_up, autoscaling.behavior.scale_down
    return {"scaleUp": _AT_ONCE if up is None else _rules(up)} | ({"scaleDown": _rules(down)} if down else {})


def _rules(rules: ScalingRules) -> Manifest:
    found = rules.model_dump(by_alias=True, exclude_none=True, mode="json")
    # Kubernetes refuses an empty list, and fills in its defaults for none.
    return {key: value for key, value in found.items() if value != []}
