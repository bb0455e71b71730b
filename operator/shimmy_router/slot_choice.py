"""Which of the pods that models share shall load a model that none has. Pure: the clock is the caller's."""

from collections.abc import Collection
from typing import Final

from shimmy_router.xds.endpoints import Address

PATIENCE_SECONDS: Final = 0.5
"""For so long a choice stays though another pod looks better: the one that was chosen looks busy with what it had as
soon as the first request comes, and tells only a moment later that it is loading what was asked for."""


class SlotChoice:
    """The pod that was chosen for each model, by the model's cluster."""

    def __init__(self) -> None:
        self._chosen: dict[str, Address] = {}
        self._doubted: dict[str, float] = {}
        """Since when another pod looks better."""

    def choose(self, cluster: str, best: Address, busy: Collection[Address], now: float) -> tuple[Address, float]:
        """The pod to send to, and after how many seconds to ask again; 0 if there is no need.

        `best` is the one that looks best now; `busy` are those pods of the model that have requests. One that has none
        is given up at once.
        """
        chosen = self._chosen.get(cluster)
        if chosen is not None and chosen in busy and chosen != best:
            left = self._doubted.setdefault(cluster, now) + PATIENCE_SECONDS - now
            if left > 0:
                return chosen, left
        self._chosen[cluster] = best
        self._doubted.pop(cluster, None)
        return best, 0.0

    def settled(self, cluster: str) -> None:
        """A pod has the model, or the model is gone."""
        self._chosen.pop(cluster, None)
        self._doubted.pop(cluster, None)
