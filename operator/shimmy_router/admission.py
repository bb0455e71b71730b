"""Whether a request may go on: first what limits say, then whether there is a pod for it."""

from shimmy_router.limiter import Limiter
from shimmy_router.processing import Admitted, Call, Refused
from shimmy_router.wake.holds import Holds


class Admission:
    """Decides on each request that a route asks about."""

    def __init__(self, limiter: Limiter, holds: Holds) -> None:
        self._limiter = limiter
        self._holds = holds

    async def decide(self, call: Call) -> Admitted | Refused:
        """Let it go on, now or later, or not. While it waits it counts as running."""
        within = await self._limiter.decide(call)
        if isinstance(within, Refused) or not call.hold:
            return within
        outcome: Admitted | Refused | None = None
        try:
            outcome = await self._holds.decide(call)
        finally:
            if within.ended and not isinstance(outcome, Admitted):
                within.ended()
        if isinstance(outcome, Refused):
            return outcome
        return Admitted({**within.metadata, **outcome.metadata}, within.ended)
