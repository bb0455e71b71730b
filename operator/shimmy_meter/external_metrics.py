"""The API group external.metrics.k8s.io/v1beta1, as autoscalers read it. Pure.

https://github.com/kubernetes/metrics/blob/master/pkg/apis/external_metrics/v1beta1/types.go
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from http import HTTPStatus
from typing import Any, Final

from shimmy_meter.loads import Load
from shimmy_meter.selectors import SelectorError, parse

Document = dict[str, Any]

GROUP: Final = "external.metrics.k8s.io"
VERSION: Final = "v1beta1"
GROUP_VERSION: Final = f"{GROUP}/{VERSION}"
_KIND: Final = "ExternalMetricValueList"
_VERSIONS: Final = {"groupVersion": GROUP_VERSION, "version": VERSION}

METRICS: Final[Mapping[str, Callable[[Load], float]]] = {
    "shimmy_model_load": lambda load: load.peak,
    "shimmy_model_in_flight": lambda load: load.in_flight,
    "shimmy_model_queued": lambda load: load.queued,
    "shimmy_model_held": lambda load: load.held,
}
"""An autoscaler wants the first: the most within its last two rounds. The others are of now."""


class RefusedError(Exception):
    """A question that gets no answer.

    Attributes:
        code: HTTP status.
        reason: as Status objects name it.
    """

    def __init__(self, code: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def status(error: RefusedError) -> Document:
    """The Status object that says it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "code": int(error.code),
    }


def group() -> Document:
    """The answer at /apis/GROUP."""
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group()


def groups() -> Document:
    """The answer at /apis."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]}


def _group() -> Document:
    return {"name": GROUP, "versions": [_VERSIONS], "preferredVersion": _VERSIONS}


def resources() -> Document:
    """The answer at /apis/GROUP/VERSION, by which the API server also sees that this server is there."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": GROUP_VERSION,
        "resources": [
            {"name": metric, "singularName": "", "namespaced": True, "kind": _KIND, "verbs": ["get"]}
            for metric in METRICS
        ],
    }


def openapi_v2() -> Document:
    """The answer at /openapi/v2: there is nothing that a client could validate."""
    return {"swagger": "2.0", "info": {"title": GROUP, "version": VERSION}, "paths": {}}


def openapi_v3() -> Document:
    """The answer at /openapi/v3: no group has a document."""
    return {"paths": {}}


def values(metric: str, selector: str, loads: Iterable[Load], now: datetime) -> Document:
    """The values of a metric for the loads of a namespace that a label selector selects.

    Raises:
        RefusedError: there is no such metric, or it is no selector.
    """
    value = METRICS.get(metric)
    if value is None:
        message = f"the server could not find the metric {metric} for external metrics"
        raise RefusedError(HTTPStatus.NOT_FOUND, "NotFound", message)
    try:
        selects = parse(selector)
    except SelectorError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", str(error)) from error
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "kind": _KIND,
        "apiVersion": GROUP_VERSION,
        "metadata": {},
        "items": [
            {"metricName": metric, "metricLabels": labels, "timestamp": time, "value": quantity(value(load))}
            for load in loads
            if selects(labels := _labels(load))
        ],
    }


def _labels(load: Load) -> dict[str, str]:
    """An autoscaler names the Deployment. A label that is absent is selected by `!model`, an empty one is not."""
    labels = {"deployment": load.deployment, "instance": load.instance}
    return labels | {"model": load.model} if load.model else labels


def quantity(value: float) -> str:
    """A number that is not negative as a Quantity, in thousandths if it is not whole; rounded up, as Kubernetes does.

    https://github.com/kubernetes/apimachinery/blob/master/pkg/api/resource/quantity.go
    """
    thousandths = (Decimal(str(value)) * 1000).to_integral_value(ROUND_CEILING)
    whole, rest = divmod(thousandths, 1000)
    return f"{thousandths:f}m" if rest else f"{whole:f}"
