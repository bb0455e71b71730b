"""The runner's Prometheus metrics.

Names follow the OpenTelemetry semantic conventions for generative AI where one exists (open-telemetry/semantic-
conventions, docs/gen-ai/gen-ai-metrics.md, written as Prometheus writes OpenTelemetry names); the rest start with
shimmy_engine_.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shimmy_api.usage import Outcome
from shimmy_engine.answer import Answer

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 300, 1200)
_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 100)
_PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
_WAIT = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
_LOAD = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_MODEL = ("gen_ai_operation_name", "gen_ai_response_model")


class Metrics:
    """Everything that one runner counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.duration = self._histogram(
            "gen_ai_server_request_duration_seconds",
            "From the start of a generation to its end.",
            _DURATION,
            (*_MODEL, "outcome"),
        )
        self.first_token = self._histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the start of a generation to its first text.",
            _FIRST,
            _MODEL,
        )
        self.per_token = self._histogram(
            "gen_ai_server_time_per_output_token_seconds", "Between two tokens, after the first.", _PER_TOKEN, _MODEL
        )
        self.token_usage = self._histogram(
            "gen_ai_client_token_usage", "Tokens of a request.", _TOKENS, (*_MODEL, "gen_ai_token_type")
        )
        self.requests = self._counter("requests", "Requests that reached the engine.", "outcome")
        self.refused = self._counter("refused_requests", "Requests refused, by error code.", "code")
        self.tokens = self._counter("tokens", "Tokens.", "type")
        self.abandoned = self._counter(
            "abandoned",
            "Answers that nobody waited for any more, by what was done: cancelled, waited, restarted.",
            "way",
        )
        self.busy = self._counter("busy_seconds", "Time in which the engine had a request.")
        self.swaps = self._counter("swaps", "Changes of the model, by result.", "result")
        self.queue_seconds = self._histogram("shimmy_engine_queue_seconds", "Wait for the turn.", _WAIT)
        self.swap_seconds = self._histogram(
            "shimmy_engine_swap_seconds", "From the order to change the model to its first answer.", _LOAD
        )
        self.ready = self._gauge("ready", "1 while the engine can answer.")
        self.in_flight = self._gauge("requests_in_flight", "Requests that the engine works on (0 or 1).")
        self.queued = self._gauge("requests_queued", "Requests that wait for their turn.")
        self.restarts = self._gauge("restarts", "Starts of the Shimmy process after the first one.")
        self.start_seconds = self._gauge("start_seconds", "Last start of the Shimmy process, to its first answer.")
        self.memory = self._gauge("process_memory_bytes", "Private memory of the Shimmy process.")
        self.journal_records = self._gauge("journal_records", "Usage records that nobody has acknowledged.")
        self.journal_dropped = self._gauge("journal_dropped_records", "Usage records lost to the bound.")
        self.info = Gauge(
            "shimmy_engine_info",
            "1 for what is served: model, Shimmy's version and build, and the device that it is computed on.",
            ("model", "version", "line", "build", "device", "device_kind"),
            registry=self.registry,
        )

    def observe(self, model: str, chat: bool, answer: Answer, outcome: Outcome, start: float, seconds: float) -> None:
        """Take a finished generation into account; `start` is its monotonic time."""
        labels = ("chat" if chat else "text_completion", model)
        usage = answer.usage
        self.requests.labels(outcome).inc()
        self.tokens.labels("prompt").inc(usage.prompt_tokens)
        self.tokens.labels("completion").inc(usage.completion_tokens)
        self.token_usage.labels(*labels, "input").observe(usage.prompt_tokens)
        self.token_usage.labels(*labels, "output").observe(usage.completion_tokens)
        self.queue_seconds.observe(answer.queue_seconds)
        self.duration.labels(*labels, outcome).observe(seconds)
        self.busy.inc(seconds)
        if answer.first_text_at:
            self.first_token.labels(*labels).observe(answer.first_text_at - start)
        if answer.pace is not None:
            self.per_token.labels(*labels).observe(answer.pace)

    def swapped(self, result: str, seconds: float) -> None:
        """Take a change of the model into account: "swapped" after that many seconds, or "failed"."""
        self.swaps.labels(result).inc()
        if result == "swapped":
            self.swap_seconds.observe(seconds)

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"shimmy_engine_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"shimmy_engine_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
