"""ShimmyModels of what was discovered."""

from dataclasses import dataclass
from typing import Any

from shimmy_api.kinds import MODEL
from shimmy_api.names import API_VERSION
from shimmy_operator.render.metadata import Manifest, labels, metadata


@dataclass(frozen=True, slots=True)
class WantedModel:
    """A ShimmyModel that discovery makes."""

    name: str
    source: str
    """Name of the source of discovery."""
    spec: dict[str, Any]
    """What discovery says of it."""


def render_discovered(tenant: str, namespace: str, model: WantedModel) -> Manifest:
    """The model without an owner: it stays where the tenant goes. Its other fields are the users' to set."""
    return {
        "apiVersion": API_VERSION,
        "kind": MODEL.kind,
        "metadata": metadata(model.name, namespace, labels(tenant, discovered_by=model.source)),
        "spec": model.spec,
    }
