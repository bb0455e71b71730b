"""What the agent tells Prometheus.

Labels are bounded: tenant and model come from the tenant's own routes, and are empty for requests that matched none.
"""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """All metrics of one agent, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        request = ("tenant", "model")
        self.requests = Counter(
            "shimmy_router_requests", "Requests that Envoy answered.", (*request, "code"), registry=registry
        )
        self.tokens = Counter(
            "shimmy_router_tokens",
            "Tokens that runners reported; kind is prompt or completion.",
            (*request, "kind"),
            registry=registry,
        )
        self.seconds = Histogram(
            "shimmy_router_request_seconds",
            "From the request's first byte to the answer's last.",
            request,
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_byte_seconds = Histogram(
            "shimmy_router_time_to_first_byte_seconds",
            "From the request's first byte to the answer's first.",
            request,
            buckets=_SECONDS,
            registry=registry,
        )
        self._published = Gauge(
            "shimmy_router_snapshot_published_timestamp_seconds",
            "When the newest snapshot was made.",
            registry=registry,
        )
        self._settled = Gauge(
            "shimmy_router_snapshot_info",
            "1 for the snapshot that an Envoy acknowledged last.",
            ("version",),
            registry=registry,
        )
        self._refusals = Counter(
            "shimmy_router_refused_updates", "Updates that an Envoy refused (NACK).", registry=registry
        )
        self._synced = Gauge("shimmy_router_synced", "1 once all objects were listed.", registry=registry)

    def published(self) -> None:
        """Note a new snapshot."""
        self._published.set(time.time())

    def settled(self, version: str) -> None:
        """Note the snapshot that an Envoy has acknowledged in whole."""
        self._settled.clear()
        self._settled.labels(version).set(1)

    def refused(self) -> None:
        """Note a refusal."""
        self._refusals.inc()

    def synced(self) -> None:
        """Note that the agent knows all objects."""
        self._synced.set(1)
