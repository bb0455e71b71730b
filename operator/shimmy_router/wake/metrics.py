"""What the agent tells Prometheus of held requests and woken models. The tenant in labels is the model's."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shimmy_router.fleet import Model

_LABELS: Final = ("tenant", "model")
_HOLD_SECONDS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_WAKE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class WakeMetrics:
    """The metrics, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._held = Gauge(
            "shimmy_router_held_requests", "Requests that wait until a pod is ready.", _LABELS, registry=registry
        )
        self._holds = Counter(
            "shimmy_router_holds",
            "Requests for models without a pod; outcome is admitted, left by the client, or the refusal's code.",
            (*_LABELS, "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "shimmy_router_hold_seconds",
            "What requests waited until a pod was ready.",
            _LABELS,
            buckets=_HOLD_SECONDS,
            registry=registry,
        )
        self._wakes = Counter(
            "shimmy_router_wakes",
            "Looks after models without a pod; outcome is woken, awake (one was started already) or failed.",
            ("outcome",),
            registry=registry,
        )
        self._wake_seconds = Histogram(
            "shimmy_router_wake_seconds",
            "From the first request for a model without a pod until the API server has been told to start one.",
            buckets=_WAKE_SECONDS,
            registry=registry,
        )
        self._outcomes: dict[tuple[str, str], set[str]] = {}
        """Of each model that has series."""

    def holding(self, model: Model, count: int) -> None:
        """So many requests for the model wait."""
        self._known(model)
        self._held.labels(model.owner, model.name).set(count)

    def admitted(self, model: Model, seconds: float) -> None:
        """One went on."""
        self.ended(model, "admitted")
        self._seconds.labels(model.owner, model.name).observe(seconds)

    def ended(self, model: Model, outcome: str) -> None:
        """One waits no more."""
        self._known(model).add(outcome)
        self._holds.labels(model.owner, model.name, outcome).inc()

    def woken(self, outcome: str, seconds: float) -> None:
        """The agent has looked after a model."""
        self._wakes.labels(outcome).inc()
        if outcome == "woken":
            self._wake_seconds.observe(seconds)

    def forget(self, model: Model) -> None:
        """The model is gone."""
        place = (model.owner, model.name)
        outcomes = self._outcomes.pop(place, None)
        if outcomes is None:
            return
        for outcome in outcomes:
            self._holds.remove(*place, outcome)
        self._held.remove(*place)
        self._seconds.remove(*place)

    def _known(self, model: Model) -> set[str]:
        place = (model.owner, model.name)
        if place not in self._outcomes:
            self._outcomes[place] = set()
            self._held.labels(*place).set(0)
            self._seconds.labels(*place)
        return self._outcomes[place]
