"""The volume of a model that is fetched."""

from typing import Any

from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.sources import VolumeSource, parse_source
from shimmy_operator.render.metadata import Manifest, labels, metadata


def render_volume(tenant: str, namespace: str, model: str, spec: ShimmyModelSpec) -> Manifest | None:
    """A claim that outlives the model, so that its bytes are never lost by accident; None for a file of the user's."""
    if isinstance(parse_source(spec.backend.gguf.source), VolumeSource):
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
