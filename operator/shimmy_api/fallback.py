"""What to do when the model that was asked for cannot answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shimmy_api.base import ApiModel
from shimmy_api.fields import DnsSubdomain, list_set


class Trigger(StrEnum):
    """Why another model may answer."""

    NO_POD = "NoPod"
    """No pod of the model is ready."""
    ERROR = "Error"
    """The engine failed before the first byte of its answer."""
    TIMEOUT = "Timeout"
    """The answer did not begin within the instance's `firstByteSeconds`."""
    QUEUE_FULL = "QueueFull"
    """As many requests wait as may wait."""
    BUDGET = "Budget"
    """The tenant's tokens or budget are used up; then only models that cost nothing of it make sense."""


_USUAL = (Trigger.NO_POD, Trigger.ERROR, Trigger.TIMEOUT, Trigger.QUEUE_FULL)


class Fallback(ApiModel):
    """A chain of models that stand in. The answer names the one that served it, and why."""

    models: Annotated[tuple[DnsSubdomain, ...], Field(min_length=1, max_length=4, json_schema_extra=list_set())]
    """Names of models that the tenant can use, in the order in which they are tried. After the last one the request is
    refused as it would be without a chain."""
    # Not `on`: YAML 1.1, which kubectl reads, takes that for the boolean true.
    when: Annotated[tuple[Trigger, ...], Field(min_length=1, max_length=5, json_schema_extra=list_set())] = _USUAL
    """What makes them stand in."""
