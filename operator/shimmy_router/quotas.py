"""Everything of an agent that has to do with limits, put together."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from shimmy_router.entries import Entry
from shimmy_router.fleet import Tenant
from shimmy_router.limiter import Limiter
from shimmy_router.limits.ledger import Ledger
from shimmy_router.limits.tokens import TokenUse, Verdict, verdict
from shimmy_router.peers import Peers, shared_secret
from shimmy_router.policies import policy_of
from shimmy_router.records import KeysRecord, ObjectKey, PeersRecord, Record

if TYPE_CHECKING:
    from shimmy_router.limits.policy import Policy

_STEP_SECONDS: Final = 0.25
"""How often tokens are looked at, and counts are told to other routers."""
_PRUNE_SECONDS: Final = 30.0


class Quotas(Collector):
    """Counts for the tenants that have limits, and tells Prometheus. `own` is this router's name."""

    def __init__(self, own: str, clock: Callable[[], float] = time.time) -> None:
        self._own = own
        self._clock = clock
        self._use = TokenUse()
        self._ledger = Ledger(own)
        self.peers = Peers(own, self._ledger, self._use, clock)
        self.limiter = Limiter(own, self._ledger, self.peers, clock)
        self._policies: dict[str, Policy] = {}
        self.limiter.set_policies(self._policies)
        self._token_limits: dict[str, int] = {}
        self._members: dict[ObjectKey, Mapping[str, str]] = {}
        self._engine_tokens: dict[ObjectKey, str] = {}
        self._counted: set[str] = set()
        self.verdicts: Mapping[str, Verdict] = {}
        """Tenants whose requests are refused now."""

    def learn(self, name: str, tenant: Tenant | None) -> None:
        """Take what may be asked as this tenant; None for one that is gone."""
        if policy := policy_of(tenant) if tenant else None:
            self._policies[name] = policy
        elif self._policies.pop(name, None):
            self.limiter.forget(name)
        tokens = tenant.limits.tokens_per_minute if tenant else None
        if tokens is not None:
            self._token_limits[name] = tokens
        else:
            self._token_limits.pop(name, None)

    def take(self, key: ObjectKey, old: Record | None, new: Record | None) -> None:
        """Take a record, if it says who the other routers are, or by what they know one another."""
        for record in (old, new):
            if isinstance(record, PeersRecord):
                self._members.pop(key, None)
            elif isinstance(record, KeysRecord):
                self._engine_tokens.pop(key, None)
        if isinstance(new, PeersRecord):
            self._members[key] = new.urls
        elif isinstance(new, KeysRecord):
            self._engine_tokens[key] = new.engine_token
        if isinstance(old or new, PeersRecord):
            self.peers.set_members({name: url for urls in self._members.values() for name, url in urls.items()})
        elif isinstance(old or new, KeysRecord):
            self.peers.set_secret(lambda: shared_secret(self._engine_tokens.values()))

    def count(self, entry: Entry) -> None:
        """Count what an answer used. Tenants without a limit are not counted."""
        amount = (entry.prompt_tokens or 0) + (entry.completion_tokens or 0)
        if amount and entry.tenant in self._token_limits:
            self._use.add(entry.tenant, self._own, amount, self._clock())
            self._counted.add(entry.tenant)

    def collect(self) -> Iterator[Metric]:
        """Metrics of this moment."""
        peers = GaugeMetricFamily("shimmy_router_peers_connected", "Other routers that can be asked.")
        peers.add_metric([], len(self.peers.reachable()))
        yield peers
        admissions = CounterMetricFamily(
            "shimmy_router_admissions",
            "Requests of tenants with limits; outcome is admitted, or what refused: requests or concurrent.",
            labels=("tenant", "outcome"),
        )
        for labels, count in self.limiter.outcomes.items():
            admissions.add_metric(labels, count)
        yield admissions
        running = GaugeMetricFamily(
            "shimmy_router_limited_requests_running",
            "Requests of tenants with limits that run in this router.",
            labels=("tenant",),
        )
        for tenant, count in self._ledger.running().items():
            running.add_metric((tenant,), count)
        yield running
        refused = GaugeMetricFamily(
            "shimmy_router_tokens_used_up",
            "1 for tenants whose requests are refused because the tokens of a minute are used.",
            labels=("tenant",),
        )
        for tenant in self.verdicts:
            refused.add_metric((tenant,), 1)
        yield refused

    async def run(self, judged: Callable[[Iterable[str]], None]) -> None:
        """Keep verdicts and the other routers up to date; ends only by cancellation.

        `judged` takes the names of tenants of whom the verdicts differ.
        """
        pruned = self._clock()
        try:
            while True:
                await asyncio.sleep(_STEP_SECONDS)
                if self._counted:
                    self.peers.counted_tokens(self._counted)
                    self._counted = set()
                self.peers.replicate()
                if differs := self.judge():
                    judged(differs)
                if self._clock() - pruned > _PRUNE_SECONDS:
                    pruned = self._clock()
                    self._use.prune(pruned)
                    self._ledger.prune(pruned)
        finally:
            await self.peers.stop()

    def judge(self) -> set[str]:
        """Make the verdicts anew; the tenants of whom they differ."""
        now = self._clock()
        old = self.verdicts
        self.verdicts = {
            tenant: found
            for tenant in self._use.tenants()
            if (found := verdict(self._use.windows(tenant), self._token_limits.get(tenant), now))
        }
        return {name for name in {*old, *self.verdicts} if old.get(name) != self.verdicts.get(name)}
