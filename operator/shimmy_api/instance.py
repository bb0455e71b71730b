"""ShimmyInstance: a pool of engine pods that serves models."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shimmy_api.autoscaling import Autoscaling
from shimmy_api.base import ApiModel
from shimmy_api.conditions import Conditions
from shimmy_api.fallback import Fallback
from shimmy_api.fields import DnsSubdomain, GroupId, Quantity, ResourceName, cel, list_map, list_set, validations

Flavor = Literal["llama", "airframe"]
"""Line of Shimmy: llama is 1.8 on llama.cpp (CPU, CUDA), airframe is 2.x on Vulkan."""
Placement = Literal["Dedicated", "Shared"]


class EngineResources(ApiModel):
    """What each engine pod requests of its node."""

    cpu: Quantity = "2"
    """CPU in cores, requested and limited: below 2, health checks stall while a model loads."""
    memory: Quantity | None = None
    """Memory, requested and limited; computed from the model's size if absent."""


class Engine(ApiModel):
    """The server that runs the models."""

    flavor: Flavor = "llama"
    """llama (Shimmy 1.8 on llama.cpp: CPU and CUDA) or airframe (Shimmy 2.x: GPUs by Vulkan)."""
    image: Annotated[str | None, Field(min_length=1, max_length=512)] = None
    """Image to run instead of the operator's own for this flavor."""
    resources: EngineResources = EngineResources()
    """Requests and limits of each pod."""


class Gpu(ApiModel):
    """GPUs of each engine pod."""

    count: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs per pod."""
    resource_name: ResourceName = "nvidia.com/gpu"
    """Extended resource that the node's device plugin advertises."""
    supplemental_groups: Annotated[tuple[GroupId, ...], Field(max_length=16, json_schema_extra=list_set())] = ()
    """Groups of the pods' processes beside their own: those that may use the nodes' /dev/dri, such as `render`."""


class Toleration(ApiModel):
    """A taint that the pods tolerate, as in a pod's spec."""

    key: Annotated[str | None, Field(max_length=316)] = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: Annotated[str | None, Field(max_length=63)] = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Scheduling(ApiModel):
    """Which nodes the pods may run on."""

    node_selector: dict[str, str] = Field(default_factory=dict, max_length=32)
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that the pods tolerate."""
    runtime_class_name: DnsSubdomain | None = None
    """RuntimeClass of the pods, such as nvidia."""


class Routing(ApiModel):
    """How requests reach the pods."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.firstByteSeconds) || self.firstByteSeconds <= self.timeoutSeconds",
                "firstByteSeconds must not be longer than timeoutSeconds",
            )
        )
    )

    queue_depth: Annotated[int, Field(ge=0, le=1024)] = 16
    """Requests that may wait in one pod while another one runs there; the next one gets 429."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    """Longest time of one request, waiting included."""
    first_byte_seconds: Annotated[int | None, Field(ge=1, le=86_400)] = None
    """Longest time until the answer begins, waiting included; then another pod or the fallback is tried. Bounded by
    `timeoutSeconds` alone if absent."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often a request that no engine has begun is tried on another pod."""
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """Share of a model's requests that the pods of this instance get, beside those of other instances that serve it."""
    fallback: Fallback | None = None
    """What to do when the instance cannot answer; the tenant's own rule if absent."""


class Rollout(ApiModel):
    """How pods are replaced."""

    drain_seconds: Annotated[int, Field(ge=10, le=3600)] = 60
    """Time in which a pod that must go may finish what it runs."""


class ShimmyInstanceSpec(ApiModel):
    """A pool of engine pods."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.routing.fallback)"
                " || self.models.all(model, self.routing.fallback.models.exists(other, other != model))",
                "a model must not be its own only fallback",
            ),
            cel(
                "!has(self.autoscaling) || self.placement == 'Shared'"
                " || self.models.size() * self.autoscaling.minReplicas <= self.autoscaling.maxReplicas",
                "autoscaling.maxReplicas must have room for minReplicas of each model",
            ),
        )
    )

    models: Annotated[tuple[DnsSubdomain, ...], Field(min_length=1, max_length=64, json_schema_extra=list_set())]
    """Names of ShimmyModels of this namespace."""
    placement: Placement = "Dedicated"
    """Dedicated: each model has pods of its own. Shared: each pod serves one of the models at a time, and changes to
    another one when a request asks for it."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Pods per model; with placement Shared, pods of all models together. Where `autoscaling` is given it counts only
    until that takes over: a new instance begins with the least that autoscaling allows."""
    autoscaling: Autoscaling | None = None
    """Load decides the number of pods; `replicas` does if absent."""
    engine: Engine = Engine()
    """The server that runs the models."""
    gpu: Gpu | None = None
    """GPUs of each pod; none if absent."""
    scheduling: Scheduling = Scheduling()
    """Which nodes the pods may run on."""
    routing: Routing = Routing()
    """How requests reach the pods."""
    rollout: Rollout = Rollout()
    """How pods are replaced."""


class ModelState(StrEnum):
    """State of one model of an instance, from worst to best."""

    FAILED = "Failed"
    """Pods do not become ready; the message says why."""
    WAITING = "Waiting"
    """The model is not there or not checked yet."""
    AT_ZERO = "AtZero"
    """No pod is wanted."""
    WAKING = "Waking"
    """The first pod is starting: requests are held."""
    LOADING = "Loading"
    """Pods are starting."""
    DEGRADED = "Degraded"
    """Fewer pods are ready than wanted."""
    IDLE = "Idle"
    """Ready, and nobody has asked for it for so long that its last pod goes when every router agrees."""
    READY = "Ready"


class ColdStarts(ApiModel):
    """How long the model took from a pod's creation until it was ready, in the last times."""

    recent_seconds: Annotated[tuple[int, ...], Field(max_length=16)] = ()
    """The last ones, oldest first."""
    median_seconds: int = 0
    p95_seconds: int = 0


class ScalingDecision(ApiModel):
    """A change of the number of pods, and why."""

    time: str
    """RFC 3339."""
    model: str = ""
    """Empty where all models share the pods."""
    before: int
    after: int
    reason: str
    """One word, such as Idle, Woken, Burst, Load, Schedule, Bounds."""
    message: str
    """With the numbers that it rests on."""


class AutoscalingStatus(ApiModel):
    """What decides the number of pods now."""

    min_replicas: int
    max_replicas: int
    """The bounds, schedules included."""
    schedules: tuple[str, ...] = ()
    """Names of those that are on."""
    decisions: Annotated[tuple[ScalingDecision, ...], Field(max_length=5)] = ()
    """The last five, newest first."""


class ServedModel(ApiModel):
    """How one model of the instance is doing."""

    name: str
    state: ModelState
    replicas: Annotated[int, Field(ge=0)] = 0
    ready_replicas: Annotated[int, Field(ge=0)] = 0
    message: str = ""
    """What is the matter, empty if nothing is."""
    cold_starts: ColdStarts | None = None
    """How long it takes to start; absent until it was seen."""


class ShimmyInstanceStatus(ApiModel):
    """What the operator sees."""

    observed_generation: int | None = None
    endpoint: str | None = None
    """Base URL of the OpenAI API inside the cluster."""
    replicas: Annotated[int, Field(ge=0)] = 0
    """Pods that each Deployment is told to run: the least of any model."""
    ready_replicas: Annotated[int, Field(ge=0)] = 0
    """Ready pods, those of all models together."""
    selector: str | None = None
    """Label selector of all pods of the instance, for the scale subresource."""
    models: Annotated[tuple[ServedModel, ...], Field(json_schema_extra=list_map("name"))] = ()
    autoscaling: AutoscalingStatus | None = None
    """Absent where `spec.replicas` decides."""
    conditions: Conditions = ()
