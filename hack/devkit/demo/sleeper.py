"""An instance that has no pod while nobody asks for the demo's model."""

from typing import Any, Final

from devkit.demo.fleet import MODEL, NAMESPACE

_IDLE_SECONDS: Final = 10
"""The least that the API allows."""


def sleeper(name: str, cpu: str) -> dict[str, Any]:
    """The ShimmyInstance; `cpu` is a Kubernetes quantity for its pod."""
    return {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyInstance",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "models": [MODEL],
            "engine": {"flavor": "llama", "resources": {"cpu": cpu}},
            "autoscaling": {"minReplicas": 0, "maxReplicas": 1, "idleSeconds": _IDLE_SECONDS},
        },
    }
