"""The Deployment of one model of an instance: placement Dedicated."""

from dataclasses import dataclass
from typing import Final

from shimmy_api import names
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.model import Artifact, ShimmyModelSpec
from shimmy_operator.render.context import Context
from shimmy_operator.render.engine import Load, render_claims, render_engines
from shimmy_operator.render.memory import memory_need
from shimmy_operator.render.metadata import Manifest, Owner, labels
from shimmy_operator.render.pod import MODELS

_ADAPTER_FOLDER: Final = "/adapter"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A checked model as an instance serves it."""

    name: str
    spec: ShimmyModelSpec
    artifact: Artifact

    @property
    def memory(self) -> int:
        """Bytes that an engine needs for it, by estimate."""
        artifact = self.artifact
        return memory_need(artifact.size_bytes, artifact.parameters, artifact.context_length, self.spec.context_length)


def render_deployment(
    tenant: str, namespace: str, owner: Owner, spec: ShimmyInstanceSpec, model: ServedModel, context: Context
) -> Manifest:
    """Pods that serve one model, `spec.replicas` of them."""
    claims = {"models": (model.artifact.claim_name, MODELS)}
    if claim := _adapter_claim(model.artifact):
        claims["adapter"] = (claim, _ADAPTER_FOLDER)
    volumes, mounts = render_claims(claims)
    load = Load(
        labels=labels(tenant, component=names.ENGINE, instance=owner.name, model=model.name),
        selector=names.selector_labels(owner.name, model.name),
        annotations=_digests(model.artifact),
        arguments=_arguments(model),
        memory=model.memory,
        volumes=volumes,
        mounts=mounts,
    )
    return render_engines(names.serving(owner.name, model.name), namespace, owner, spec, load, context)


def _digests(artifact: Artifact) -> dict[str, str]:
    adapter = {names.ANNOTATION_LORA_SHA256: artifact.lora.sha256} if artifact.lora else {}
    return {names.ANNOTATION_MODEL_SHA256: artifact.sha256, **adapter}


def _adapter_claim(artifact: Artifact) -> str | None:
    """The claim that an adapter alone needs. A pod with two volumes of one claim never starts: the kubelet waits."""
    lora = artifact.lora
    return lora.claim_name if lora and lora.claim_name != artifact.claim_name else None


def _arguments(model: ServedModel) -> list[str]:
    arguments = ["--model-name", model.name, "--model-file", f"{MODELS}/{model.artifact.path}"]
    if model.artifact.lora:
        folder = _ADAPTER_FOLDER if _adapter_claim(model.artifact) else MODELS
        arguments += ["--lora-file", f"{folder}/{model.artifact.lora.path}"]
    if model.spec.context_length is not None:
        arguments += ["--context", str(model.spec.context_length)]
    return arguments
