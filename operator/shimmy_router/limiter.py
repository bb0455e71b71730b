"""Decides whether requests of tenants with limits may come in, together with the other routers."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from shimmy_router.limits import answers
from shimmy_router.limits.ledger import Answer, Ask, Ledger
from shimmy_router.limits.members import home
from shimmy_router.limits.policy import Policy
from shimmy_router.processing import Admitted, Call, Refused

Clock = Callable[[], float]
"""Unix time in seconds."""


class Others(Protocol):
    """The other routers."""

    def reachable(self) -> set[str]:
        """Names of those that can be asked now."""
        ...

    def count(self) -> int:
        """How many there are, reachable or not."""
        ...

    async def ask(self, router: str, ask: Ask) -> Answer | None:
        """What that router says, or None if it does not in time. What it lets in is counted here too."""
        ...

    def ended(self, router: str, ask: Ask) -> None:
        """Tell a router what runs now that a request has ended."""
        ...


class Limiter:
    """Decides for this router's requests: itself as their tenant's home, by asking it, or alone."""

    def __init__(self, own: str, ledger: Ledger, others: Others, clock: Clock = time.time) -> None:
        self._own = own
        self._ledger = ledger
        self._others = others
        self._clock = clock
        self._policies: Mapping[str, Policy] = {}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Decisions so far, by tenant and what refused; "admitted" where nothing did."""

    def set_policies(self, policies: Mapping[str, Policy]) -> None:
        """What each tenant with limits may ask, from now on."""
        self._policies = policies

    def forget(self, tenant: str) -> None:
        """A tenant has no limits any more."""
        for known, outcome in list(self.outcomes):
            if known == tenant:
                del self.outcomes[known, outcome]

    async def decide(self, call: Call) -> Admitted | Refused:
        """Let a request in or not. A tenant of whose limits nothing is known has none."""
        policy = self._policies.get(call.tenant)
        if policy is None:
            return Admitted()
        ask = policy.ask(call.tenant, call.key_id)
        answer = await self._answer(ask)
        self.outcomes[call.tenant, answer.reason or "admitted"] += 1
        if answer.reason:
            return Refused(*answers.refusal(answer))
        return Admitted(answers.request_headers(answer), lambda: self._ended(ask))

    async def _answer(self, ask: Ask) -> Answer:
        router = self._home(ask)
        if router == self._own:
            return self._ledger.decide(ask, self._own, self._clock())
        if answer := await self._others.ask(router, ask):
            return answer
        return self._ledger.decide_alone(ask, self._others.count() + 1, self._clock())

    def _ended(self, ask: Ask) -> None:
        self._ledger.ended(ask)
        router = self._home(ask)
        if router != self._own:
            self._others.ended(router, ask)

    def _home(self, ask: Ask) -> str:
        return home(ask.tenant, {self._own, *self._others.reachable()})
