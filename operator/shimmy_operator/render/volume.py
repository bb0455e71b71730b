"""The volume of a model that is fetched or converted."""

from typing import Any

from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_operator.render.location import locate
from shimmy_operator.render.metadata import Manifest, labels, metadata


def render_volume(tenant: str, namespace: str, model: str, spec: ShimmyModelSpec) -> Manifest | None:
    """A claim that outlives the model, so that its bytes are never lost by accident; None for a file of the user's."""
    if not locate(model, spec).own_volume:
        return None
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": spec.storage.size}},
    }
    if spec.storage.storage_class_name is not None:
        claim["storageClassName"] = spec.storage.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(names.model_volume(model), namespace, labels(tenant, model=model)),
        "spec": claim,
    }
