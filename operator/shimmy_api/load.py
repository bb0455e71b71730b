"""What routers say of the load of models, as their agents tell the metrics server every second.

A report is whole: what a router named before and does not name any more, it does not have any more. A model without
requests is named with zeros for as long as the router serves it, for an autoscaler that finds no value does nothing.
"""

from typing import Annotated

from pydantic import Field, NonNegativeInt

from shimmy_api.base import ApiModel

Name = Annotated[str, Field(min_length=1, max_length=253)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

LOADS_PATH = "/loads/1"
"""Where the metrics server takes reports, by POST. The number is another one where what they mean is."""


class ModelLoad(ApiModel):
    """What one model of one instance has to do, as one router sees it."""

    namespace: Name
    """Namespace of the ShimmyInstance and its engines."""
    instance: Name
    """metadata.name of the ShimmyInstance."""
    model: Name
    """metadata.name of the ShimmyModel."""
    in_flight: NonNegativeInt = 0
    """Requests that an engine works on."""
    queued: NonNegativeInt = 0
    """Requests that wait for a busy engine."""
    held: NonNegativeInt = 0
    """Requests that the router holds until there is an engine."""
    tokens_per_second: Amount = 0.0
    """Tokens produced for this router's clients."""
    first_byte_seconds: Amount | None = None
    """Time to the first byte of an answer; none where nothing was answered."""


class LoadReport(ApiModel):
    """All that one router has to say now."""

    router: Name
    """Name of its pod."""
    loads: tuple[ModelLoad, ...]
    """At most one for each namespace, instance and model."""
