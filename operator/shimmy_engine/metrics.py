"""The runner's Prometheus metrics (https://prometheus.io/docs/practices/naming/)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)
_WAIT = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 25, 50, 100)


class Metrics:
    """Everything that one runner counts; all of it is about one model."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ready = Gauge("shimmy_engine_ready", "1 while the engine can answer.", registry=self.registry)
        self.in_flight = Gauge(
            "shimmy_engine_requests_in_flight", "Requests that the engine works on (0 or 1).", registry=self.registry
        )
        self.queued = Gauge(
            "shimmy_engine_requests_queued", "Requests that wait for their turn.", registry=self.registry
        )
        self.restarts = Gauge(
            "shimmy_engine_restarts", "Starts of the Shimmy process after the first one.", registry=self.registry
        )
        self.requests = Counter(
            "shimmy_engine_requests", "Requests that reached the engine.", ("outcome",), registry=self.registry
        )
        self.refused = Counter(
            "shimmy_engine_refused_requests", "Requests refused by error code.", ("code",), registry=self.registry
        )
        self.tokens = Counter("shimmy_engine_tokens", "Tokens.", ("type",), registry=self.registry)
        self.queue_seconds = Histogram(
            "shimmy_engine_queue_seconds", "Wait for the turn.", buckets=_WAIT, registry=self.registry
        )
        self.first_token_seconds = Histogram(
            "shimmy_engine_time_to_first_token_seconds",
            "From the start of a generation to its first text.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.seconds = Histogram(
            "shimmy_engine_generation_seconds",
            "From the start of a generation to its end.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.journal_records = Gauge(
            "shimmy_engine_journal_records", "Usage records that nobody has acknowledged.", registry=self.registry
        )
        self.journal_dropped = Gauge(
            "shimmy_engine_journal_dropped_records", "Usage records lost to the bound.", registry=self.registry
        )

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)
