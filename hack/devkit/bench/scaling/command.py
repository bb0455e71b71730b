"""`hack/bench scaling`: what scaling makes of several kinds of load at once."""

import argparse
import itertools
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from devkit.bench.scaling.patterns import SERVICE_SECONDS, Pattern, patterns
from devkit.bench.scaling.picture import picture
from devkit.bench.scaling.queueing import Bounds, Queueing
from devkit.bench.scaling.record import Record, Sample
from devkit.bench.scaling.world import World, world
from devkit.progress import say
from devkit.waiting import until

_STEP_SECONDS: Final = 0.25
_REPORT_SECONDS: Final = 1.0
_READY_SECONDS: Final = 120
_SAY_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 8.0
"""Of a router that is started again."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("scaling", help="replicas under changing load, with real autoscalers; writes SVG")
    command.add_argument("--minutes", type=float, default=30, help="of load (default: 30)")
    command.add_argument("--only", action="append", help="a pattern, once or more (default: all)")
    command.add_argument("--idle-seconds", type=int, default=60, help="before a model falls asleep (default: 60)")
    command.add_argument(
        "--kill-seconds", type=float, default=0, help="kill operator, metrics servers or the router's word this often"
    )
    command.add_argument("--picture", type=Path, default=Path("scaling.svg"), help="file to write (scaling.svg)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> bool:
    seconds = arguments.minutes * 60
    chosen = [one for one in patterns(seconds) if not arguments.only or one.name in arguments.only]
    with tempfile.TemporaryDirectory() as scratch, world(Path(scratch)) as made:
        for pattern in chosen:
            made.add(pattern, arguments.idle_seconds)
        until(lambda: all(map(made.ready, chosen)), "the first pods are ready", seconds=_READY_SECONDS, every=1)
        records, queues = _load(made, chosen, seconds, arguments.kill_seconds)
    arguments.picture.write_text(picture(records), encoding="utf-8")
    _print(records, queues, made.wake_seconds)
    print(f"picture: {arguments.picture}")
    return all(queue.lost == 0 for queue in queues.values()) and all(record.reversals == 0 for record in records)


def _load(
    made: World, chosen: Sequence[Pattern], seconds: float, kill_seconds: float
) -> tuple[list[Record], dict[str, Queueing]]:
    records = {one.name: Record(one.name, one.min_replicas, one.max_replicas) for one in chosen}
    queues = {one.name: Queueing(Bounds(service_seconds=SERVICE_SECONDS)) for one in chosen}
    began = reported = said = killed = time.monotonic()
    silent_until = 0.0
    kills = itertools.cycle([*made.kills(), ("the router", None)])
    while (at := time.monotonic() - began) < seconds:
        seen = made.seen(chosen)
        for pattern in chosen:
            found, queue, demand = seen[pattern.name], queues[pattern.name], pattern.demand(at)
            queue.step(at, round(demand), found.ready)
            if not found.replicas and queue.waiting:
                made.wake(pattern)
            records[pattern.name].samples.append(Sample(at, demand, found.replicas, len(found.ready)))
        if kill_seconds and time.monotonic() - killed >= kill_seconds:
            killed = time.monotonic()
            what, kill = next(kills)
            say(f"{at / 60:.1f} min: kill {what}")
            if kill:
                threading.Thread(target=kill).start()
            else:
                silent_until = killed + _SILENT_SECONDS
        if time.monotonic() - reported >= _REPORT_SECONDS and time.monotonic() >= silent_until:
            reported = time.monotonic()
            made.report(queues, seen, chosen)
        if time.monotonic() - said >= _SAY_SECONDS:
            said = time.monotonic()
            say(f"{at / 60:.0f} min: " + ", ".join(f"{name} {one.replicas}" for name, one in seen.items()))
        time.sleep(max(_STEP_SECONDS - (time.monotonic() - began - at), 0))
    return list(records.values()), queues


def _print(records: Sequence[Record], queues: dict[str, Queueing], wakes: Sequence[float]) -> None:
    print(f"{'load':10} {'answered':>8} {'lost':>5} {'longest wait s':>14} {'replicas / ideal':>16} changes reversals")
    for record in records:
        queue = queues[record.name]
        over = record.over_provisioning
        ratio = "-" if math.isinf(over) else f"{over:.2f}"
        print(
            f"{record.name:10} {queue.answered:8} {queue.lost:5} {queue.longest_wait:14.1f} {ratio:>16}"
            f" {record.changes:7} {record.reversals:9}"
        )
    if wakes:
        print(
            f"told to start: {len(wakes)} times, median {statistics.median(wakes) * 1000:.0f} ms,"
            f" longest {max(wakes) * 1000:.0f} ms"
        )
