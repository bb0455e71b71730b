"""`hack/bench faults`: kills and replaces parts of the data plane under load, and counts what clients lose."""

import argparse
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devkit.bench.engine.watch import load_average
from devkit.bench.faults.kinds import KINDS
from devkit.bench.faults.load import load
from devkit.bench.faults.parts import world
from devkit.bench.faults.seen import Count, Fault, Seen, count
from devkit.progress import say
from devkit.waiting import until

_BETWEEN: Final = 12
"""Requests that end between two faults, at the least."""
_PATIENCE: Final = 120.0
_GOALS: Final = (
    ("requests that failed though a pod and their router remained", "failed"),
    ("streams that broke though their pod and router remained", "spared"),
    ("the same of client libraries, which try twice more", "retrying_failed"),
)
_COLUMNS: Final = (
    ("requests", "requests"),
    ("streams", "streams"),
    ("failed", "failed"),
    ("broken", "broken"),
    ("spared", "spared"),
    ("in flight", "in_flight"),
    ("refused", "refused"),
    ("by library", "retrying"),
    ("failed", "retrying_failed"),
    ("unlucky", "unlucky"),
)
"""Of the table, and what of a Count they show."""


@dataclass(frozen=True, slots=True)
class Result:
    """Of one kind of fault."""

    seen: Sequence[Seen]
    faults: Sequence[Fault]

    @property
    def count(self) -> Count:
        """How many there were of which."""
        return count(self.seen, self.faults)

    @property
    def failures(self) -> Mapping[str, int]:
        """What clients saw instead of an answer, and how often."""
        return Counter(one.failure for one in self.seen if one.failure)


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("faults", help="what clients lose when pods, agents and Envoys die or are replaced")
    command.add_argument("kinds", nargs="*", metavar="KIND", help=f"some of {', '.join(KINDS)} (default: all)")
    command.add_argument("--times", type=int, default=100, help="of each kind (default: 100)")
    command.set_defaults(run=_run)


def measure(kind: str, times: int, folder: Path) -> Result:
    """Let a kind of fault happen so many times under load.

    Raises:
        TimeoutError: the parts did not recover from one.
    """
    faults: list[Fault] = []
    with world(folder) as parts, load(parts.service.url, parts.keys, parts.service.chosen) as seen:
        for number in range(times):
            _flow(seen)
            faults.append(KINDS[kind](parts, number))
            if (number + 1) % max(1, times // 10) == 0:
                say(f"{kind}: {number + 1} of {times}")
        _flow(seen)
    return Result(seen, faults)


def _flow(seen: Sequence[Seen]) -> None:
    enough = len(seen) + _BETWEEN
    until(lambda: len(seen) >= enough, "requests", seconds=_PATIENCE)


def _run(arguments: argparse.Namespace) -> bool:
    if unknown := set(arguments.kinds) - KINDS.keys():
        raise RuntimeError(f"there are no faults {', '.join(sorted(unknown))}, but {', '.join(KINDS)}")
    results: dict[str, Result] = {}
    for kind in arguments.kinds or KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            results[kind] = measure(kind, arguments.times, Path(scratch))
    _table(results)
    return _goals(results)


def _table(results: Mapping[str, Result]) -> None:
    titles = " ".join(title for title, _ in _COLUMNS)
    print(f"{'fault':6} {'times':>5} {titles} {'normal again':>12} {'longest':>8}")
    for kind, result in results.items():
        seconds = [fault.over - fault.began for fault in result.faults]
        numbers = " ".join(f"{getattr(result.count, field):{len(title)}}" for title, field in _COLUMNS)
        print(f"{kind:6} {len(seconds):5} {numbers} {statistics.median(seconds):10.1f} s {max(seconds):6.1f} s")
        for failure, number in result.failures.items():
            say(f"{kind}: {number} times {failure}")
    print("requests: streams included; failed: no answer, though a pod and the router of their connection remained")
    print("broken: streams that ended early; spared: of them, those whose pod and router remained")
    print("in flight, refused: their connection was to an Envoy that died, before or after it did")
    print("by library: beside those requests; unlucky: each of their three tries went to the Envoy that had died")
    print(load_average())


def _goals(results: Mapping[str, Result]) -> bool:
    met = True
    for what, field in _GOALS:
        number = sum(getattr(result.count, field) for result in results.values())
        met &= not number
        print(f"{what:64} {number:4}   goal 0: {'met' if not number else 'missed'}")
    return met
