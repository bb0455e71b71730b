"""The ServiceAccount of engines and fetch Jobs."""

from typing import Final

from shimmy_operator.render.metadata import Manifest, labels, metadata

NAME: Final = "shimmy-engine"


def render_service_account(tenant: str, namespace: str) -> Manifest:
    """An account without rights, whose token no pod mounts."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(NAME, namespace, labels(tenant)),
        "automountServiceAccountToken": False,
    }
