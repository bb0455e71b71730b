"""What routers say of the load of Deployments, and what it comes to: between agents, metrics server and operator.

A report is whole: what a router named before and does not name any more, it does not have any more. A Deployment
without requests is named with zeros for as long as the router serves it, for an autoscaler that finds no value does
nothing. Several routers may name the same pod: of those, what was said last counts.
"""

from typing import Annotated, Final

from pydantic import Field, NonNegativeInt

from shimmy_api import names
from shimmy_api.base import ApiModel

Name = Annotated[str, Field(min_length=1, max_length=names.MAX_NAME)]
MAX_COUNT: Final = 1_000_000_000
"""Of one router or pod. What they add up to is a number that every reader can have as a float."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

LOADS_PATH: Final = "/loads/1"
"""Where the metrics server takes reports, by POST, and tells what they come to, by GET. The number is another one where
what they mean is."""
METER_AUDIENCE: Final = "shimmy-meter"
"""Audience of the ServiceAccount tokens with which agents and operator come to the metrics server."""
LOAD_RESOURCE: Final = "shimmyinstances"
LOAD_SUBRESOURCE: Final = "load"
"""Who may create it in their own namespace may tell the loads there: a right that no object stands behind."""


class PodLoad(ApiModel):
    """What one engine pod has to do, as its runner tells it."""

    in_flight: Count = 0
    """Requests that its engine works on."""
    queued: Count = 0
    """Requests that wait for its engine."""


class DeploymentLoad(ApiModel):
    """What the pods of one Deployment have to do, as one router sees it."""

    namespace: Name
    """Of the ShimmyInstance and its engines."""
    deployment: Name
    """metadata.name of the Deployment."""
    instance: Name
    """metadata.name of the ShimmyInstance."""
    model: str = ""
    """metadata.name of the ShimmyModel; empty where the instance's models share the pods."""
    pods: dict[Name, PodLoad] = Field(default_factory=dict)
    """By name, those whose load this router knows."""
    held: Count = 0
    """Requests that the router holds until there is an engine."""
    holding: bool = False
    """Whether the router would hold a request if there were no engine: it asks before it sends any."""
    tokens_per_second: Amount = 0.0
    """Tokens produced for this router's clients."""
    first_byte_seconds: Amount | None = None
    """Time to the first byte of an answer; none where nothing was answered."""


class LoadReport(ApiModel):
    """All that one router has to say now."""

    router: Name
    """Name of its pod, whose namespace the ServiceAccount's token tells."""
    loads: tuple[DeploymentLoad, ...]
    """At most one for each namespace and Deployment."""


class DeploymentTotal(ApiModel):
    """What the pods of one Deployment have to do, over all routers."""

    namespace: Name
    deployment: Name
    peak: NonNegativeInt
    """The most that was in flight, queued and held together within the last 30 s."""
    held: NonNegativeInt = 0
    pods: dict[Name, PodLoad] = Field(default_factory=dict)
    holding: tuple[str, ...] = ()
    """Routers that ask before they send any request, as NAMESPACE/POD."""


class LoadTotals(ApiModel):
    """All that the metrics server knows now."""

    routers: tuple[str, ...]
    """Those that are heard, as NAMESPACE/POD."""
    totals: tuple[DeploymentTotal, ...]
