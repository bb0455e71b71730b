"""How load changes over the run. Pure: each pattern tells requests at a time that clients want to have open."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Demand = Callable[[float], float]
"""Seconds since the start, to requests at a time."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of load."""

    name: str
    demand: Demand
    min_replicas: int = 1
    max_replicas: int = 8


def _ramp(seconds: float) -> Demand:
    """Up to six over the first half, and down again over the third quarter."""
    half = seconds / 2

    def demand(at: float) -> float:
        return 6 * at / half if at < half else max(6 * (1 - (at - half) / (half / 2)), 0.0)

    return demand


def _step(seconds: float) -> Demand:
    return lambda at: 5.0 if seconds / 6 <= at < seconds / 2 else 1.0


def _sawtooth(period: float) -> Demand:
    return lambda at: 1 + 4 * (at % period) / period


def _spikes(period: float) -> Demand:
    """Nothing, but for a burst of six for twenty seconds once in a while."""
    return lambda at: 6.0 if 30 <= at % period < 50 else 0.0


def _night(seconds: float) -> Demand:
    """A day that ends: busy, then nobody for half of the time, then busy again."""
    return lambda at: 0.0 if seconds / 4 <= at < 3 * seconds / 4 else 3 + math.sin(at / 20)


def patterns(seconds: float) -> tuple[Pattern, ...]:
    """All of them, for a run of this length."""
    return (
        Pattern("ramp", _ramp(seconds)),
        Pattern("step", _step(seconds)),
        Pattern("sawtooth", _sawtooth(min(150.0, seconds / 3))),
        Pattern("spike", _spikes(max(seconds / 3, 120.0)), min_replicas=0),
        Pattern("night", _night(seconds), min_replicas=0),
    )


SERVICE_SECONDS: Final = 2.0
"""That each request takes in a pod."""
