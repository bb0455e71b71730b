"""The pods that all models of an instance share: placement Shared.

Each of them ("slot") serves one model of a catalogue at a time, and changes to another one by itself.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from shimmy_api import names
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_operator.render.context import Context
from shimmy_operator.render.deployment import ServedModel
from shimmy_operator.render.engine import Load, render_claims, render_engines
from shimmy_operator.render.metadata import Manifest, Owner, labels
from shimmy_operator.render.pod import MODELS

_CATALOGUE_FOLDER: Final = "/etc/shimmy/catalogue"
_CATALOGUE_FILE: Final = "models.json"


def render_slots(
    tenant: str,
    namespace: str,
    owner: Owner,
    spec: ShimmyInstanceSpec,
    models: Sequence[ServedModel],
    context: Context,
) -> Manifest:
    """`spec.replicas` slots, each with room for the largest of the models, of which there is at least one.

    The catalogue is an annotation of the pods, which the downward API shows them as a file: no pod ever sees another
    one than it was made with. Slots begin with the first model.
    """
    claims = sorted({claim for model in models for claim in _claims(model)})
    volumes, mounts = render_claims(
        {f"models-{index}": (claim, f"{MODELS}/{claim}") for index, claim in enumerate(claims)}
    )
    selector = names.slot_labels(owner.name)
    load = Load(
        labels=labels(tenant, component=names.ENGINE, instance=owner.name) | selector,
        selector=selector,
        annotations={
            names.ANNOTATION_CATALOGUE: json.dumps({"models": [_entry(model) for model in models]}),
            names.ANNOTATION_CATALOGUE_SHA256: _digest(models),
        },
        arguments=["--models", f"{_CATALOGUE_FOLDER}/{_CATALOGUE_FILE}", "--on-demand"],
        memory=max(model.memory for model in models),
        volumes=[{"name": "catalogue", "downwardAPI": {"items": [_CATALOGUE]}}, *volumes],
        mounts=[{"name": "catalogue", "mountPath": _CATALOGUE_FOLDER, "readOnly": True}, *mounts],
        admin=True,
    )
    return render_engines(names.slots(owner.name), namespace, owner, spec, load, context)


_CATALOGUE: Final = {
    "path": _CATALOGUE_FILE,
    # The API server fills the version in; without it here every look would find a difference.
    "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{names.ANNOTATION_CATALOGUE}']"},
}


def _claims(model: ServedModel) -> list[str]:
    lora = model.artifact.lora
    return [model.artifact.claim_name, *([lora.claim_name] if lora else [])]


def _entry(model: ServedModel) -> dict[str, Any]:
    artifact = model.artifact
    entry: dict[str, Any] = {"name": model.name, "file": f"{MODELS}/{artifact.claim_name}/{artifact.path}"}
    if model.spec.context_length is not None:
        entry["context"] = model.spec.context_length
    if artifact.lora is not None:
        entry["loraFile"] = f"{MODELS}/{artifact.lora.claim_name}/{artifact.lora.path}"
    return entry


def _digest(models: Sequence[ServedModel]) -> str:
    """Of the files' content, which may change under the same names."""
    files = [[model.artifact.sha256, model.artifact.lora.sha256 if model.artifact.lora else None] for model in models]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()
