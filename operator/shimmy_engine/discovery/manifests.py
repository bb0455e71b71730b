"""ShimmyModels for what was found, ready to be applied: pure."""

from typing import Any

import yaml

from shimmy_api.discovery import Discovered, DiscoveryReport, model_spec
from shimmy_api.kinds import MODEL
from shimmy_api.names import API_VERSION


def as_yaml(report: DiscoveryReport, namespace: str | None) -> str:
    """One document for each model that a ShimmyModel can name."""
    documents = [manifest for model in report.models if (manifest := _manifest(model, namespace))]
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True) if documents else ""


def _manifest(model: Discovered, namespace: str | None) -> dict[str, Any] | None:
    spec = model_spec(model)
    if spec is None:
        return None
    return {
        "apiVersion": API_VERSION,
        "kind": MODEL.kind,
        "metadata": {"name": model.name} | ({"namespace": namespace} if namespace else {}),
        "spec": spec,
    }
