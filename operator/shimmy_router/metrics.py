"""What the agent tells Prometheus.

Labels are bounded by the fleet's objects: tenants and models come from the tenants' own routes, and key ids and the
models that engines say served count only where the fleet knows them. What is not known is empty. What the fleet has no
more is removed.
"""

import time
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shimmy_router.entries import Entry
from shimmy_router.fleet import Model, Tenant

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_KINDS: Final = ("prompt", "completion")
_REASONS: Final = frozenset({"no_pod", "retried", "used_up"})
"""Values of headers.REASON. An engine could write others."""


@dataclass(frozen=True, slots=True)
class Known:
    """What may stand in the labels of one tenant's series."""

    models: frozenset[str]
    keys: frozenset[str]


def _known(tenant: Tenant) -> Known:
    """What a tenant's objects know."""
    keys = (*(key.id for key in tenant.keys), *(token.name for token in tenant.tokens))
    return Known(frozenset(model.name for model in tenant.models), frozenset(keys))


class Metrics:
    """All metrics of one agent, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        model, key = ("tenant", "model"), ("tenant", "key")
        self.requests = Counter(
            "shimmy_router_requests",
            "Requests that Envoy answered; model is the one that served, asked the one that was asked for.",
            (*model, "asked", "code", "outcome"),
            registry=registry,
        )
        self.tokens = Counter(
            "shimmy_router_tokens",
            "Tokens that runners reported; kind is prompt or completion.",
            (*model, "kind"),
            registry=registry,
        )
        self.fallbacks = Counter(
            "shimmy_router_fallbacks",
            "Requests that model answered in the place of asked; reason is no_pod, retried or used_up.",
            (*model, "asked", "reason"),
            registry=registry,
        )
        self._moves = Counter(
            "shimmy_router_moves",
            "Requests that waited at a pod and that this agent had sent to an idle one; tenant is the model's.",
            model,
            registry=registry,
        )
        self.retries = Counter(
            "shimmy_router_retries",
            "How often requests were sent to a pod again; model is the one that served.",
            model,
            registry=registry,
        )
        self.seconds = _histogram(
            "shimmy_router_request_seconds", "From the request's first byte to the answer's last.", registry
        )
        self.first_byte_seconds = _histogram(
            "shimmy_router_time_to_first_byte_seconds",
            "From the request's first byte to the answer's first.",
            registry,
        )
        self.queue_seconds = _histogram(
            "shimmy_router_queue_seconds", "What requests waited for their turn in an engine.", registry
        )
        self.key_requests = Counter(
            "shimmy_router_key_requests", "Requests that came with a key, by its public id.", key, registry=registry
        )
        self.key_tokens = Counter(
            "shimmy_router_key_tokens",
            "Tokens that runners reported, by the key's public id; kind is prompt or completion.",
            (*key, "kind"),
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
        self._refused = Gauge(
            "shimmy_router_refused_resources",
            "Resources that Envoy does not take, by their kind: it goes on with what it had of them.",
            ("kind",),
            registry=registry,
        )
        self._denied = Gauge(
            "shimmy_router_denied_tokens",
            "Entries of tenants' tokens that do not count, since an older tenant has the issuer or a subject of them.",
            registry=registry,
        )
        self._synced = Gauge("shimmy_router_synced", "1 once all objects were listed.", registry=registry)
        self._known: dict[str, Known] = {}
        self._of_models: defaultdict[str, dict[tuple[str, str], _ModelSeries]] = defaultdict(dict)
        """By tenant: by the model that served and the one that was asked for."""
        self._of_keys: defaultdict[str, dict[str, _KeySeries]] = defaultdict(dict)
        self._moved: defaultdict[str, set[str]] = defaultdict(set)
        """Models that have such a series, by tenant."""

    def know(self, name: str, tenant: Tenant | None) -> None:
        """Take what the fleet knows of a tenant, None for one that is gone; forget the series of what it does not."""
        known = _known(tenant) if tenant else None
        if known == self._known.get(name):
            return
        models, keys = (known.models, known.keys) if known else (frozenset[str](), frozenset[str]())
        for model, asked in list(self._of_models[name]):
            if not (known and {model, asked} <= models | {""}):
                self._of_models[name].pop((model, asked)).remove(whole=model not in models)
        for key in self._of_keys[name].keys() - keys:
            self._of_keys[name].pop(key).remove()
        for model in self._moved[name] - models:
            self._moved[name].remove(model)
            self._moves.remove(name, model)
        if known:
            self._known[name] = known
        else:
            for series in (self._known, self._of_models, self._of_keys, self._moved):
                series.pop(name, None)

    def count(self, entry: Entry) -> None:
        """Count one request."""
        known = self._known.get(entry.tenant)
        if known is None and entry.tenant and self._known:
            entry = entry._replace(tenant="", asked="")  # an answer that outlived its tenant
        served = entry.served if known and entry.served in known.models else entry.asked
        of_tenant = self._of_models[entry.tenant]
        series = of_tenant.get((served, entry.asked))
        if series is None:
            series = of_tenant[served, entry.asked] = _ModelSeries(self, entry.tenant, served, entry.asked)
        series.count(entry)
        if known and entry.key_id in known.keys:
            of_keys = self._of_keys[entry.tenant]
            of_key = of_keys.get(entry.key_id)
            if of_key is None:
                of_key = of_keys[entry.key_id] = _KeySeries(self, entry.tenant, entry.key_id)
            of_key.count(entry)

    def moved(self, model: Model) -> None:
        """Count a request that went from one of the model's pods to an idle one."""
        known = self._known.get(model.owner)
        if known and model.name in known.models:
            self._moved[model.owner].add(model.name)
            self._moves.labels(model.owner, model.name).inc()

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

    def refusing(self, kinds: Iterable[str]) -> None:
        """Note what Envoy does not take: the kind of each resource."""
        self._refused.clear()
        for kind, count in Counts(kinds).items():
            self._refused.labels(kind).set(count)

    def denied(self, entries: int) -> None:
        """Note how many entries for tokens do not count."""
        self._denied.set(entries)

    def synced(self) -> None:
        """Note that the agent knows all objects."""
        self._synced.set(1)


class _ModelSeries:
    """The series of one tenant and model, found once."""

    __slots__ = (
        "_first_byte",
        "_metrics",
        "_place",
        "_queue",
        "_reasons",
        "_requests",
        "_retries",
        "_seconds",
        "_tokens",
    )

    def __init__(self, metrics: Metrics, tenant: str, model: str, asked: str) -> None:
        self._metrics = metrics
        self._place = (tenant, model, asked)
        self._requests: dict[tuple[int, str], Counter] = {}
        self._reasons: set[str] = set()
        self._tokens = {kind: metrics.tokens.labels(tenant, model, kind) for kind in _KINDS}
        self._retries = metrics.retries.labels(tenant, model)
        self._seconds = metrics.seconds.labels(tenant, model)
        self._first_byte = metrics.first_byte_seconds.labels(tenant, model)
        self._queue = metrics.queue_seconds.labels(tenant, model)

    def count(self, entry: Entry) -> None:
        end = (entry.code, entry.outcome)
        requests = self._requests.get(end)
        if requests is None:
            requests = self._requests[end] = self._metrics.requests.labels(*self._place, str(end[0]), end[1])
        requests.inc()
        if entry.retries:
            self._retries.inc(entry.retries)
        if entry.reason in _REASONS:
            self._reasons.add(entry.reason)
            self._metrics.fallbacks.labels(*self._place, entry.reason).inc()
        for histogram, seconds in (
            (self._seconds, entry.seconds),
            (self._first_byte, entry.first_byte_seconds),
            (self._queue, entry.queue_seconds),
        ):
            if seconds is not None:
                histogram.observe(seconds)
        for kind, tokens in _tokens(entry):
            self._tokens[kind].inc(tokens)

    def remove(self, *, whole: bool) -> None:
        """Forget them; with `whole` also those that do not tell what was asked for."""
        metrics, (tenant, model, _) = self._metrics, self._place
        for code, outcome in self._requests:
            metrics.requests.remove(*self._place, str(code), outcome)
        for reason in self._reasons:
            metrics.fallbacks.remove(*self._place, reason)
        if not whole:
            return
        metrics.retries.remove(tenant, model)
        for kind in _KINDS:
            metrics.tokens.remove(tenant, model, kind)
        for histogram in (metrics.seconds, metrics.first_byte_seconds, metrics.queue_seconds):
            histogram.remove(tenant, model)


class _KeySeries:
    """The series of one key, found once."""

    __slots__ = ("_metrics", "_place", "_requests", "_tokens")

    def __init__(self, metrics: Metrics, tenant: str, key: str) -> None:
        self._metrics = metrics
        self._place = (tenant, key)
        self._requests = metrics.key_requests.labels(tenant, key)
        self._tokens = {kind: metrics.key_tokens.labels(tenant, key, kind) for kind in _KINDS}

    def count(self, entry: Entry) -> None:
        self._requests.inc()
        for kind, tokens in _tokens(entry):
            self._tokens[kind].inc(tokens)

    def remove(self) -> None:
        self._metrics.key_requests.remove(*self._place)
        for kind in _KINDS:
            self._metrics.key_tokens.remove(*self._place, kind)


def _tokens(entry: Entry) -> Iterator[tuple[str, int]]:
    if entry.prompt_tokens is not None:
        yield "prompt", entry.prompt_tokens
    if entry.completion_tokens is not None:
        yield "completion", entry.completion_tokens


def _histogram(name: str, text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, ("tenant", "model"), buckets=_SECONDS, registry=registry)
