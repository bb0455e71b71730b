"""A Deployment of engine pods, whatever they serve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api import names
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_operator.render.context import Context
from shimmy_operator.render.memory import memory_quantity
from shimmy_operator.render.metadata import Manifest, Owner, metadata
from shimmy_operator.render.pod import RESTRICTED_CONTAINER, render_pod_base

CONTAINER: Final = "engine"
KILL_MARGIN_SECONDS: Final = 10
"""From the end of the drain to the kubelet's SIGKILL."""
_PROGRESS_SECONDS: Final = 3600
"""Reading a large model from a slow volume may take long; pods say earlier what is the matter."""
_TOKEN_FOLDER: Final = "/var/run/shimmy/engine-token"  # noqa: S105 - a path
_STATE_FOLDER: Final = "/var/lib/shimmy"
_CAPABILITIES: Final = {"llama": "compute,utility", "airframe": "graphics,compute,utility"}
"""Parts of the node's driver that NVIDIA's container toolkit brings into a container. Vulkan is in `graphics`, CUDA in
`compute`. Source: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
#driver-capabilities"""


@dataclass(frozen=True, slots=True)
class Load:
    """What the pods of one Deployment serve."""

    labels: dict[str, str]
    """Of the Deployment and its pods."""
    selector: dict[str, str]
    """Those of them that never change."""
    annotations: dict[str, str]
    """Of the pods: digests of what they read once, so that other content means other pods."""
    arguments: list[str]
    """Which models, for the runner."""
    memory: int
    """Bytes that the engine needs, by estimate."""
    volumes: list[dict[str, Any]]
    mounts: list[dict[str, Any]]
    admin: bool = False
    """Whether the runner can be told to change its model."""


def render_engines(
    name: str, namespace: str, owner: Owner, spec: ShimmyInstanceSpec, load: Load, context: Context
) -> Manifest:
    """`spec.replicas` pods that serve a load; without a number where load decides it."""
    replicas = {} if spec.autoscaling is not None else {"replicas": spec.replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, namespace, load.labels, owner),
        "spec": {
            **replicas,
            "progressDeadlineSeconds": _PROGRESS_SECONDS,
            "selector": {"matchLabels": load.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": load.labels, "annotations": load.annotations},
                "spec": _pod(namespace, spec, load, context),
            },
        },
    }


def render_claims(claims: Mapping[str, tuple[str, str]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and read-only mounts of claims, from a volume's name to its claim and the folder that it is seen at."""
    volumes = [
        {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        for name, (claim, _) in claims.items()
    ]
    mounts = [{"name": name, "mountPath": folder, "readOnly": True} for name, (_, folder) in claims.items()]
    return volumes, mounts


def _pod(namespace: str, spec: ShimmyInstanceSpec, load: Load, context: Context) -> dict[str, Any]:
    pod = {
        **render_pod_base(),
        "terminationGracePeriodSeconds": spec.rollout.drain_seconds + KILL_MARGIN_SECONDS,
        "containers": [_container(namespace, spec, load, context)],
        "volumes": [
            *load.volumes,
            {"name": "engine-token", "secret": {"secretName": names.ENGINE_TOKEN_SECRET, "defaultMode": 0o440}},
            {"name": "state", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
    if spec.gpu is not None and spec.gpu.supplemental_groups:
        groups = {"supplementalGroups": sorted(spec.gpu.supplemental_groups)}
        pod["securityContext"] = {**pod["securityContext"], **groups}
    if spec.scheduling.node_selector:
        pod["nodeSelector"] = dict(spec.scheduling.node_selector)
    if spec.scheduling.tolerations:
        pod["tolerations"] = [
            toleration.model_dump(by_alias=True, exclude_none=True) for toleration in spec.scheduling.tolerations
        ]
    if spec.scheduling.runtime_class_name is not None:
        pod["runtimeClassName"] = spec.scheduling.runtime_class_name
    return pod


def _container(namespace: str, spec: ShimmyInstanceSpec, load: Load, context: Context) -> dict[str, Any]:
    ports = {names.ENGINE_PORT_NAME: names.ENGINE_PORT}
    if load.admin:
        ports[names.ENGINE_ADMIN_PORT_NAME] = names.ENGINE_ADMIN_PORT
    container = {
        "name": CONTAINER,
        "image": spec.engine.image or context.engine_image(spec.engine.flavor),
        "imagePullPolicy": context.image_pull_policy,
        "args": _arguments(namespace, spec, load),
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "resources": _resources(spec, load),
        "securityContext": RESTRICTED_CONTAINER,
        # The runner is alive at once and ready after a real answer of the model, however long that takes.
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "volumeMounts": [
            *load.mounts,
            {"name": "engine-token", "mountPath": _TOKEN_FOLDER, "readOnly": True},
            {"name": "state", "mountPath": _STATE_FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        ],
    }
    if spec.gpu is not None:
        container["env"] = [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": _CAPABILITIES[spec.engine.flavor]}]
    return container


def _arguments(namespace: str, spec: ShimmyInstanceSpec, load: Load) -> list[str]:
    arguments = ["serve", *load.arguments, "--model-namespace", namespace]
    arguments += ["--queue", str(spec.routing.queue_depth), "--deadline-seconds", str(spec.routing.timeout_seconds)]
    arguments += ["--grace-seconds", str(spec.rollout.drain_seconds)]
    if load.admin:
        arguments += ["--admin-port", str(names.ENGINE_ADMIN_PORT)]
    if spec.gpu is not None and spec.engine.flavor == "airframe":
        arguments.append("--require-gpu")  # Vulkan falls back to a software renderer without a word
    return arguments


def _resources(spec: ShimmyInstanceSpec, load: Load) -> dict[str, Any]:
    wanted = {
        "cpu": spec.engine.resources.cpu,
        "memory": spec.engine.resources.memory or memory_quantity(load.memory),
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
