"""The load of models for Prometheus: the numbers that autoscalers read, at the moment of a scrape."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from shimmy_meter.external_metrics import METRICS
from shimmy_meter.loads import Load, Loads

_LABELS: Final = ("namespace", "deployment", "instance", "model")
"""The namespace is the tenant's. To Prometheus a label without a value is one that is absent."""
_HELP: Final = {
    "shimmy_model_load": "Most requests in flight, queued and held together within 30 s.",
    "shimmy_model_in_flight": "Requests that an engine works on.",
    "shimmy_model_queued": "Requests that wait for a busy engine.",
    "shimmy_model_held": "Requests that a router holds until there is an engine.",
}


class LoadCollector(Collector):
    """Gauges of the loads of one moment."""

    def __init__(self, loads: Sequence[Load], routers: int) -> None:
        self._loads = loads
        self._routers = routers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges."""
        families = {name: GaugeMetricFamily(name, _HELP[name], labels=_LABELS) for name in METRICS}
        tokens = GaugeMetricFamily("shimmy_model_tokens_per_second", "Tokens produced.", labels=_LABELS)
        first = GaugeMetricFamily(
            "shimmy_model_first_byte_seconds", "Longest time to a first byte that a router tells.", labels=_LABELS
        )
        for load in self._loads:
            labels = (load.namespace, load.deployment, load.instance, load.model)
            for name, value in METRICS.items():
                families[name].add_metric(labels, value(load))
            tokens.add_metric(labels, load.tokens_per_second)
            if load.first_byte_seconds is not None:
                first.add_metric(labels, load.first_byte_seconds)
        yield from families.values()
        yield tokens
        yield first
        yield GaugeMetricFamily("shimmy_meter_routers", "Routers that are heard.", value=self._routers)


async def exposition(loads: Loads) -> bytes:
    """The text, written on a thread: for ten thousand models that takes longer than a probe waits."""
    made = CollectorRegistry()
    made.register(LoadCollector(loads.all(), loads.routers()))
    return await asyncio.to_thread(generate_latest, made)
