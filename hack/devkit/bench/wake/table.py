"""Figures of many wakes as text. Pure."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from devkit.bench.wake.moments import AWAKE, OWN_PHASES, PHASES
from devkit.bench.wake.rounds import Result


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def rows(results: Mapping[str, Result]) -> Iterator[str]:
    """Median, 99th percentile and longest of each phase in ms."""
    yield f"{'':24} {'':24} {'median':>9} {'p99':>9} {'longest':>9}"
    for title, result in results.items():
        for phase in (*PHASES, *OWN_PHASES, AWAKE):
            seconds = [wake.seconds[phase] for wake in result.wakes if phase in wake.seconds]
            if not seconds:
                continue
            figures = (statistics.median(seconds), percentile(seconds, 0.99), max(seconds))
            yield f"{title:24} {phase:24} " + " ".join(f"{figure * 1000:6.0f} ms" for figure in figures)
        yield f"{title:24} {len(result.wakes)} woken, {len(result.failures)} failed"
