"""How long models take to start."""

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Final

from shimmy_api.instance import ColdStarts

KEPT: Final = 16


def summary(recent: Sequence[int]) -> ColdStarts | None:
    """Of the last starts, in seconds, oldest first; None if there was none. Percentiles by the nearest rank."""
    if not recent:
        return None
    kept = tuple(recent[-KEPT:])
    ordered = sorted(kept)
    return ColdStarts(
        recent_seconds=kept,
        median_seconds=round(median(ordered)),
        p95_seconds=ordered[ceil(len(ordered) * 0.95) - 1],
    )
