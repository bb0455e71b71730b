"""How many pods an instance has when load decides: bounds, target, schedules, sleep and wake."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shimmy_api.base import ApiModel
from shimmy_api.fields import DnsLabel, cel, list_map, validations

Replicas = Annotated[int, Field(ge=0, le=1000)]

_CRON_FIELD = r"[0-9A-Za-z*,/#-]+"
_CRON = rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$"
_TIME_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"

Cron = Annotated[str, Field(max_length=100, pattern=_CRON)]
"""Five fields: minute, hour, day of the month, month, day of the week."""


class ScalingPolicy(ApiModel):
    """A bound on how fast the number of pods changes, as in a HorizontalPodAutoscaler's behavior."""

    type: Literal["Pods", "Percent"]
    """What `value` counts."""
    value: Annotated[int, Field(ge=1, le=10_000)]
    """The most that may come or go within `periodSeconds`."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Length of the time that the bound is for."""


class ScalingRules(ApiModel):
    """How the number of pods changes in one direction, as in a HorizontalPodAutoscaler's behavior."""

    stabilization_window_seconds: Annotated[int | None, Field(ge=0, le=3600)] = None
    """Within which the least change that was recommended counts."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which of several policies counts; Disabled for no change in this direction."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=8)] = ()
    """Bounds; Kubernetes' defaults if there are none."""


class ScalingBehavior(ApiModel):
    """How fast the number of pods changes.

    Without `scaleUp` a burst adds the pods that it needs within two seconds; with it, the HorizontalPodAutoscaler alone
    adds pods, by its rules.
    """

    scale_up: ScalingRules | None = None
    """At once, and as many as load asks for, if absent."""
    scale_down: ScalingRules | None = None
    """Kubernetes' default if absent: within the most that was recommended for 300 seconds."""


class Schedule(ApiModel):
    """Other bounds for some time. They move the bounds only: load decides between them."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.minReplicas) || has(self.maxReplicas)",
                "a schedule must set minReplicas or maxReplicas",
            ),
            cel(
                "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                "minReplicas must not be more than maxReplicas",
            ),
        )
    )

    name: DnsLabel
    """Unique in the instance."""
    start: Cron
    """When it begins, such as `0 8 * * 1-5`."""
    end: Cron
    """When it ends, such as `0 18 * * 1-5`."""
    time_zone: Annotated[str, Field(max_length=64, pattern=_TIME_ZONE)] = "UTC"
    """Of both, by its IANA name, such as Europe/Berlin."""
    min_replicas: Replicas | None = None
    """Instead of the instance's own. Where several schedules are on, the highest counts."""
    max_replicas: Annotated[int | None, Field(ge=1, le=1000)] = None
    """Instead of the instance's own. Where several schedules are on, the highest counts."""


class Wake(ApiModel):
    """What becomes of requests for a model that has no pod yet."""

    hold_seconds: Annotated[int, Field(ge=0, le=3600)] = 120
    """Longest time that a request is held until a pod is ready; then it gets 503 with Retry-After. At 0, none is."""
    most_held: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Requests that one router holds for each model at most; the next one gets 503 with Retry-After."""


class Autoscaling(ApiModel):
    """Load decides the number of pods: requests that run, wait or are held, over all routers."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("self.minReplicas <= self.maxReplicas", "minReplicas must not be more than maxReplicas"),
        )
    )

    min_replicas: Replicas = 1
    """Pods of each model at least; with placement Shared, of all models together. At 0, a model that nobody asks for
    has no pod; the first request wakes it."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """Pods of all models together at most."""
    target_utilization: Annotated[int, Field(ge=1, le=1000)] = 100
    """Requests per pod, in percent of those that a pod runs at a time, which is one. More than 100 means that requests
    wait for each other; less, that pods wait for requests."""
    idle_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    """How long nobody must have asked for a model before its last pod goes."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Where a tenant's quota has no room for all, instances with a higher priority get their pods first."""
    behavior: ScalingBehavior = ScalingBehavior()
    """How fast the number of pods changes."""
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=16, json_schema_extra=list_map("name"))] = ()
    """Other bounds at certain times."""
    wake: Wake = Wake()
    """What becomes of requests for a model that has no pod yet."""
