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
    ("requests that failed in client libraries, which try twice more", "retrying_failed"),
)


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
    print(
        f"{'fault':6} {'times':>5} {'requests':>8} {'streams':>7} {'failed':>6} {'broken':>6} {'spared':>6}"
        f" {'in flight':>9} {'refused':>7} {'by library':>10} {'failed':>6} {'normal again':>12} {'longest':>8}"
    )
    for kind, result in results.items():
        found = result.count
        seconds = [fault.over - fault.began for fault in result.faults]
        print(
            f"{kind:6} {len(seconds):5} {found.requests:8} {found.streams:7} {found.failed:6} {found.broken:6}"
            f" {found.spared:6} {found.in_flight:9} {found.refused:7} {found.retrying:10} {found.retrying_failed:6}"
            f" {statistics.median(seconds):10.1f} s {max(seconds):6.1f} s"
        )
        for failure, number in result.failures.items():
            say(f"{kind}: {number} times {failure}")
    print(
        "streams are among the requests, and broken ones not among the failed; spared: though pod and router remained"
    )
    print(load_average())


def _goals(results: Mapping[str, Result]) -> bool:
    met = True
    for what, field in _GOALS:
        number = sum(getattr(result.count, field) for result in results.values())
        met &= not number
        print(f"{what:64} {number:4}   goal 0: {'met' if not number else 'missed'}")
    return met
