"""The Deployment of one model of an instance."""

from dataclasses import dataclass
from typing import Any, Final

from shimmy_api import names
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.model import Artifact, ShimmyModelSpec
from shimmy_operator.render.context import Context
from shimmy_operator.render.memory import memory_request
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata
from shimmy_operator.render.pod import MODELS, RESTRICTED_CONTAINER, render_pod_base

CONTAINER: Final = "engine"
KILL_MARGIN_SECONDS: Final = 10
"""From the end of the drain to the kubelet's SIGKILL."""
_PROGRESS_SECONDS: Final = 3600
"""Reading a large model from a slow volume may take long; pods say earlier what is the matter."""
_TOKEN_FOLDER: Final = "/var/run/shimmy/engine-token"  # noqa: S105 - a path
_STATE_FOLDER: Final = "/var/lib/shimmy"
_ADAPTER_FOLDER: Final = "/adapter"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A checked model as an instance serves it."""

    name: str
    spec: ShimmyModelSpec
    artifact: Artifact


def render_deployment(
    tenant: str, namespace: str, owner: Owner, spec: ShimmyInstanceSpec, model: ServedModel, context: Context
) -> Manifest:
    """Pods that serve one model, `spec.replicas` of them."""
    selector = names.selector_labels(owner.name, model.name)
    found = labels(tenant, component=names.ENGINE, instance=owner.name, model=model.name)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(names.serving(owner.name, model.name), namespace, found, owner),
        "spec": {
            "replicas": spec.replicas,
            "progressDeadlineSeconds": _PROGRESS_SECONDS,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": found,
                    "annotations": _digests(model.artifact),
                },
                "spec": _pod(namespace, spec, model, context),
            },
        },
    }


def _digests(artifact: Artifact) -> dict[str, str]:
    adapter = {names.ANNOTATION_LORA_SHA256: artifact.lora.sha256} if artifact.lora else {}
    return {names.ANNOTATION_MODEL_SHA256: artifact.sha256, **adapter}


def _adapter_claim(artifact: Artifact) -> str | None:
    """The claim that an adapter alone needs. A pod with two volumes of one claim never starts: the kubelet waits."""
    lora = artifact.lora
    return lora.claim_name if lora and lora.claim_name != artifact.claim_name else None


def _pod(namespace: str, spec: ShimmyInstanceSpec, model: ServedModel, context: Context) -> dict[str, Any]:
    pod = {
        **render_pod_base(),
        "terminationGracePeriodSeconds": spec.rollout.drain_seconds + KILL_MARGIN_SECONDS,
        "containers": [_container(namespace, spec, model, context)],
        "volumes": _volumes(model),
    }
    if spec.scheduling.node_selector:
        pod["nodeSelector"] = dict(spec.scheduling.node_selector)
    if spec.scheduling.tolerations:
        pod["tolerations"] = [
            toleration.model_dump(by_alias=True, exclude_none=True) for toleration in spec.scheduling.tolerations
        ]
    if spec.scheduling.runtime_class_name is not None:
        pod["runtimeClassName"] = spec.scheduling.runtime_class_name
    return pod


def _container(namespace: str, spec: ShimmyInstanceSpec, model: ServedModel, context: Context) -> dict[str, Any]:
    claim = _adapter_claim(model.artifact)
    return {
        "name": CONTAINER,
        "image": spec.engine.image or context.engine_image(spec.engine.flavor),
        "imagePullPolicy": context.image_pull_policy,
        "args": _arguments(namespace, spec, model),
        "ports": [{"name": names.ENGINE_PORT_NAME, "containerPort": names.ENGINE_PORT, "protocol": "TCP"}],
        "resources": _resources(spec, model),
        "securityContext": RESTRICTED_CONTAINER,
        # The runner is alive at once and ready after a real answer of the model, however long that takes.
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS, "readOnly": True},
            *([{"name": "adapter", "mountPath": _ADAPTER_FOLDER, "readOnly": True}] if claim else []),
            {"name": "engine-token", "mountPath": _TOKEN_FOLDER, "readOnly": True},
            {"name": "state", "mountPath": _STATE_FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        ],
    }


def _arguments(namespace: str, spec: ShimmyInstanceSpec, model: ServedModel) -> list[str]:
    arguments = ["serve", "--model-name", model.name, "--model-namespace", namespace]
    arguments += ["--model-file", f"{MODELS}/{model.artifact.path}"]
    if model.artifact.lora:
        folder = _ADAPTER_FOLDER if _adapter_claim(model.artifact) else MODELS
        arguments += ["--lora-file", f"{folder}/{model.artifact.lora.path}"]
    arguments += ["--queue", str(spec.routing.queue_depth), "--grace-seconds", str(spec.rollout.drain_seconds)]
    if model.spec.context_length is not None:
        arguments += ["--context", str(model.spec.context_length)]
    if spec.gpu is not None and spec.engine.flavor == "airframe":
        arguments.append("--require-gpu")  # Vulkan falls back to a software renderer without a word
    return arguments


def _resources(spec: ShimmyInstanceSpec, model: ServedModel) -> dict[str, Any]:
    artifact = model.artifact
    wanted = {
        "cpu": spec.engine.resources.cpu,
        "memory": spec.engine.resources.memory
        or memory_request(artifact.size_bytes, artifact.parameters, artifact.context_length, model.spec.context_length),
    }
    if spec.gpu is not None:
        wanted[spec.gpu.resource_name] = str(spec.gpu.count)
    return {"requests": wanted, "limits": dict(wanted)}


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.ENGINE_PORT_NAME},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _volumes(model: ServedModel) -> list[dict[str, Any]]:
    claim = _adapter_claim(model.artifact)
    adapter = {"name": "adapter", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    return [
        {
            "name": "models",
            "persistentVolumeClaim": {"claimName": model.artifact.claim_name, "readOnly": True},
        },
        *([adapter] if claim else []),
        {
            "name": "engine-token",
            "secret": {"secretName": names.ENGINE_TOKEN_SECRET, "defaultMode": 0o440},
        },
        {"name": "state", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
