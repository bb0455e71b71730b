"""Conditions of an object's status, as KEP-1623 standardises them (meta/v1 Condition in kubernetes/apimachinery)."""

from typing import Annotated, Final, Literal

from pydantic import Field

from shimmy_api.base import ApiModel

ConditionStatus = Literal["True", "False", "Unknown"]
READY: Final = "Ready"
DISCOVERED: Final = "Discovered"
"""On a ShimmyTenant: how the discovery of its models is doing."""
CONSISTENT: Final = "Consistent"
"""On objects that name others: whether the others are there and do not contradict."""

SCALING_LIMITED: Final = "ScalingLimited"
"""On a ShimmyInstance, True while load asks for more pods than it may have; absent otherwise."""
LOAD_KNOWN: Final = "LoadKnown"
"""On a ShimmyInstance, False while an autoscaler of it has seen no load for a minute; absent otherwise."""
BOUNDS_VALID: Final = "BoundsValid"
"""On a ShimmyInstance, False while a schedule means nothing or bounds contradict; absent otherwise."""


class Condition(ApiModel):
    """One observation about an object."""

    type: Annotated[str, Field(max_length=316)]
    status: ConditionStatus
    observed_generation: Annotated[int, Field(ge=0)]
    """metadata.generation that this condition was computed for."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When `status` last changed, RFC 3339."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """One CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """For people: what is the matter, and what to do."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
