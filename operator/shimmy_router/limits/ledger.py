"""Requests per minute and at a time, decided in one place for all routers.

One router is the home of a tenant (members.py) and decides for all of them; every other one asks it. Each keeps, beside
what it decides for others, what it was granted itself: it can tell that to a new home, and live on its share of it
while there is none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from shimmy_router.limits.window import Buckets, Window, seconds_until

Reason = Literal["", "requests", "concurrent"]

CONCURRENT_RETRY_SECONDS: Final = 1.0
"""When another request ends is not known."""


class Limits(NamedTuple):
    """Upper bounds over all routers together; None is no bound."""

    per_minute: int | None = None
    concurrent: int | None = None


NO_LIMITS: Final = Limits()


class Ask(NamedTuple):
    """One request that wants to come in: whose it is, and what may be."""

    tenant: str
    key: str
    """Public id of the key; empty where it has no limits of its own."""
    of_tenant: Limits = NO_LIMITS
    of_key: Limits = NO_LIMITS


class Answer(NamedTuple):
    """Whether it may, and how the requests of the last minute stand: those of the bound that is the nearest."""

    reason: Reason = ""
    """Which bound refused it; empty: none."""
    scope: Literal["tenant", "key"] = "tenant"
    """Whose bound."""
    limit: int | None = None
    remaining: int = 0
    reset: float = 0.0
    """Seconds until nothing is used, if nothing more is asked."""
    retry_after: float = 0.0
    """Seconds until it may, if others ask for nothing; of a refusal."""


Counter = tuple[str, str]
"""Tenant and key; with an empty key all keys of the tenant."""


@dataclass(slots=True)
class Part:
    """What one router's requests make of a counter."""

    window: Window = field(default_factory=Window)
    running: int = 0


class State(NamedTuple):
    """One router's part of a counter, to be told to another router."""

    tenant: str
    key: str
    buckets: Buckets
    """Empty where only `running` is told."""
    running: int
    router: str = ""
    """Whose part it is; empty: the sender's."""


class Ledger:
    """The counters that one router knows. Routers go by name."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._counters: defaultdict[Counter, dict[str, Part]] = defaultdict(dict)
        self._touched: set[str] = set()

    def decide(self, ask: Ask, router: str, now: float) -> Answer:
        """Let a router's request in or not; what is let in is counted."""
        bounds = _bounds(ask)
        if refusal := _first_refusal(bounds, self._parts(bounds), now):
            return refusal
        for counter, _, _ in bounds:
            part = self._part(counter, router)
            part.window.add(1, now)
            part.running += 1
        if router == self._own:
            self._touched.add(ask.tenant)
        return _nearest(bounds, self._parts(bounds), now)

    def decide_alone(self, ask: Ask, routers: int, now: float) -> Answer:
        """The same without the others: within this router's equal share of each bound, at least one."""
        alone = ask._replace(of_tenant=_share(ask.of_tenant, routers), of_key=_share(ask.of_key, routers))
        bounds = _bounds(alone)
        if refusal := _first_refusal(bounds, self._own_parts(bounds), now):
            return refusal
        self.began(ask)
        self.granted(ask, now)
        return _nearest(bounds, self._own_parts(bounds), now)

    def began(self, ask: Ask) -> None:
        """A request of this router runs, or is being asked for elsewhere."""
        for counter, _, _ in _bounds(ask):
            self._part(counter, self._own).running += 1

    def granted(self, ask: Ask, now: float) -> None:
        """Another router let it in."""
        for counter, _, _ in _bounds(ask):
            self._part(counter, self._own).window.add(1, now)

    def ended(self, ask: Ask) -> None:
        """A request of this router runs no more, or was refused elsewhere."""
        for counter, _, _ in _bounds(ask):
            part = self._part(counter, self._own)
            part.running = max(part.running - 1, 0)

    def state(self, tenants: Iterable[str], receiver: str, now: float) -> Iterator[State]:
        """What this router's requests make of the counters of these tenants.

        And what is known of the receiver's own requests, which it may have forgotten.
        """
        wanted = set(tenants)
        for counter, parts in self._counters.items():
            if counter[0] in wanted:
                if part := parts.get(self._own):
                    yield State(*counter, part.window.buckets(now), part.running)
                if part := parts.get(receiver):
                    yield State(*counter, part.window.buckets(now), 0, receiver)

    def own_running(self, ask: Ask) -> list[State]:
        """What now runs of the counters of a request, without the past."""
        return [State(*counter, [], self._part(counter, self._own).running) for counter, _, _ in _bounds(ask)]

    def learn(self, state: State, router: str) -> None:
        """Take what another router says of its requests, or of this one's before it restarted."""
        own = bool(state.router)
        part = self._part((state.tenant, state.key), self._own if own else router)
        if state.buckets:
            part.window.merge(state.buckets)
        if not own:
            part.running = state.running

    def gone(self, router: str) -> None:
        """A router is away: nothing of its runs any more that could be known of. Its window ages by itself."""
        for parts in self._counters.values():
            if part := parts.get(router):
                part.running = 0

    def touched(self) -> set[str]:
        """Tenants of which this router has let requests of its own in since it was last asked for them."""
        touched, self._touched = self._touched, set()
        return touched

    def running(self) -> dict[str, int]:
        """How many of this router's requests run, by tenant."""
        return {
            tenant: parts[self._own].running
            for (tenant, key), parts in self._counters.items()
            if self._own in parts and not key
        }

    def tenants(self) -> set[str]:
        """Tenants of which anything is counted."""
        return {tenant for tenant, _ in self._counters}

    def prune(self, now: float) -> None:
        """Forget what has aged out."""
        for counter in list(self._counters):
            parts = self._counters[counter]
            for router in [r for r, part in parts.items() if not part.running and not part.window.total(now)]:
                del parts[router]
            if not parts:
                del self._counters[counter]

    def _parts(self, bounds: "_Bounds") -> list[list[Part]]:
        return [list(self._counters[counter].values()) for counter, _, _ in bounds]

    def _own_parts(self, bounds: "_Bounds") -> list[list[Part]]:
        return [[part] if (part := self._counters[counter].get(self._own)) else [] for counter, _, _ in bounds]

    def _part(self, counter: Counter, router: str) -> Part:
        parts = self._counters[counter]
        part = parts.get(router)
        if part is None:
            part = parts[router] = Part()
        return part


_Bound = tuple[Counter, Literal["tenant", "key"], Limits]
_Bounds = tuple[_Bound, ...]


def _bounds(ask: Ask) -> _Bounds:
    """What has to be counted: also what has no bound of its own, so that its end is one for all."""
    tenant: _Bound = ((ask.tenant, ""), "tenant", ask.of_tenant)
    return (tenant, ((ask.tenant, ask.key), "key", ask.of_key)) if ask.key else (tenant,)


def _first_refusal(bounds: _Bounds, parts: list[list[Part]], now: float) -> Answer | None:
    for (_, scope, limits), counted in zip(bounds, parts, strict=True):
        windows = [part.window for part in counted]
        used = sum(window.total(now) for window in windows)
        left = 0 if limits.per_minute is None else max(limits.per_minute - used, 0)
        if limits.concurrent is not None and sum(part.running for part in counted) >= limits.concurrent:
            return Answer("concurrent", scope, limits.per_minute, left, _reset(windows, now), CONCURRENT_RETRY_SECONDS)
        if limits.per_minute is not None and not left:
            wait = seconds_until(windows, limits.per_minute - 1, now)
            return Answer("requests", scope, limits.per_minute, 0, _reset(windows, now), wait)
    return None


def _nearest(bounds: _Bounds, parts: list[list[Part]], now: float) -> Answer:
    """How the bound of which the least remains stands."""
    found = Answer()
    for (_, scope, limits), counted in zip(bounds, parts, strict=True):
        if limits.per_minute is None:
            continue
        windows = [part.window for part in counted]
        left = max(limits.per_minute - sum(window.total(now) for window in windows), 0)
        if found.limit is None or left < found.remaining:
            found = Answer("", scope, limits.per_minute, left, _reset(windows, now))
    return found


def _reset(windows: list[Window], now: float) -> float:
    return max((window.empty_in(now) for window in windows), default=0.0)


def _share(limits: Limits, routers: int) -> Limits:
    return Limits(*(None if bound is None else max(bound // routers, 1) for bound in limits))
