"""The load of models for Prometheus: the numbers that autoscalers read, at the moment of a scrape."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shimmy_meter.external_metrics import METRICS
from shimmy_meter.loads import Loads

_LABELS: Final = ("namespace", "instance", "model")
_HELP: Final = {
    "shimmy_model_load": "Most requests in flight, queued and held together within 30 s.",
    "shimmy_model_in_flight": "Requests that an engine works on.",
    "shimmy_model_queued": "Requests that wait for a busy engine.",
    "shimmy_model_held": "Requests that a router holds until there is an engine.",
}


class LoadCollector(Collector):
    """Reads the loads when it is asked."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges."""
        loads = self._loads.all()
        families = {name: GaugeMetricFamily(name, _HELP[name], labels=_LABELS) for name in METRICS}
        tokens = GaugeMetricFamily("shimmy_model_tokens_per_second", "Tokens produced.", labels=_LABELS)
        first = GaugeMetricFamily(
            "shimmy_model_first_byte_seconds", "Longest time to a first byte that a router tells.", labels=_LABELS
        )
        for load in loads:
            labels = (load.namespace, load.instance, load.model)
            for name, value in METRICS.items():
                families[name].add_metric(labels, value(load))
            tokens.add_metric(labels, load.tokens_per_second)
            if load.first_byte_seconds is not None:
                first.add_metric(labels, load.first_byte_seconds)
        yield from families.values()
        yield tokens
        yield first
        yield GaugeMetricFamily("shimmy_meter_routers", "Routers that are heard.", value=self._loads.routers())


def registry(loads: Loads) -> CollectorRegistry:
    """A registry with all that this server tells."""
    made = CollectorRegistry()
    made.register(LoadCollector(loads))
    return made
