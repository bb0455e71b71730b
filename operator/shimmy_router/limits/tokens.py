"""Tokens per minute: counted when an answer ends, and refused for the next requests."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shimmy_router.limits.window import SECONDS, Buckets, Window, seconds_until

STEP_SECONDS: Final = 5
"""Refusals say when to come again in multiples of this: each value is a new route table."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a tenant's requests are refused for a while."""

    retry_after: int
    """Seconds, rounded up, from the moment in which the verdict was made."""
    limit: int
    """Tokens per minute."""


class TokenUse:
    """Tokens of the last minute, by tenant and by the router that counted them."""

    def __init__(self) -> None:
        self._windows: dict[str, dict[str, Window]] = {}

    def add(self, tenant: str, router: str, amount: int, now: float) -> None:
        """Count what a router saw."""
        self._windows.setdefault(tenant, {}).setdefault(router, Window()).add(amount, now)

    def learn(self, tenant: str, router: str, buckets: Buckets) -> None:
        """Take what another router says that it counted. It ages out where that router says no more."""
        self._windows.setdefault(tenant, {}).setdefault(router, Window()).merge(buckets)

    def told(self, tenant: str, router: str, now: float) -> Buckets:
        """What a router has counted of a tenant."""
        window = self._windows.get(tenant, {}).get(router)
        return window.buckets(now) if window else []

    def tenants(self) -> Iterable[str]:
        """Those of which anything was counted."""
        return self._windows.keys()

    def windows(self, tenant: str) -> list[Window]:
        """One for each router that counted."""
        return list(self._windows.get(tenant, {}).values())

    def prune(self, now: float) -> None:
        """Forget what has aged out."""
        for tenant in list(self._windows):
            by_router = self._windows[tenant]
            for router in [router for router, window in by_router.items() if not window.total(now)]:
                del by_router[router]
            if not by_router:
                del self._windows[tenant]


def verdict(windows: list[Window], limit: int | None, now: float) -> Verdict | None:
    """Whether a tenant with this use and this limit is refused now."""
    if limit is None or sum(window.total(now) for window in windows) < limit:
        return None
    wait = seconds_until(windows, limit - 1, now)
    steps = max(math.ceil(wait / STEP_SECONDS), 1)
    return Verdict(min(steps * STEP_SECONDS, SECONDS), limit)
