"""What all pods in a tenant's namespace have in common."""

from typing import Any, Final

from shimmy_operator.render import service_account

USER: Final = 65532
"""User and group of all images."""
MODELS: Final = "/models"

RESTRICTED_CONTAINER: Final[dict[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def render_pod_base() -> dict[str, Any]:
    """A pod's spec without containers, as the profile `restricted` demands and without any rights of its own."""
    return {
        "serviceAccountName": service_account.NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
