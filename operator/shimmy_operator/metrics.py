"""What the operator says of its own work, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """All of the operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "shimmy_operator_reconciles",
            "Reconciliations by kind of object and result: ok, failed, fault (of this program).",
            ["kind", "result"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "shimmy_operator_reconcile_seconds",
            "Duration of a reconciliation.",
            ["kind"],
            registry=self.registry,
        )
        self.queue = Gauge(
            "shimmy_operator_queue_depth",
            "Objects that wait for a reconciliation.",
            registry=self.registry,
        )
        self.writes = Counter(
            "shimmy_operator_api_writes",
            "Mutating requests to the API server by verb.",
            ["verb"],
            registry=self.registry,
        )
        self.meter_up = Gauge(
            "shimmy_operator_meter_up",
            "Whether the metrics server told the load at the last look; 0 also where none is set.",
            registry=self.registry,
        )
        self.meter_looks = Counter(
            "shimmy_operator_meter_looks",
            "Looks at the metrics server by result: ok, failed.",
            ["result"],
            registry=self.registry,
        )

    def count_write(self, verb: str) -> None:
        """Count one mutating request."""
        self.writes.labels(verb).inc()
