"""Command line of `hack/bench engine`."""

import argparse

from devkit.bench.engine import kills, load, loss, overhead
from devkit.bench.engine.programs import NAMES


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark and its parts."""
    description = (
        "The runner beside Shimmy alone, and what it keeps under load, kills and crashes. Each part ends with 1 where"
        " an answer or a usage record was lost, doubled, mixed up or miscounted."
    )
    engine = commands.add_parser("engine", help="the engine runner beside Shimmy alone", description=description)
    parts = engine.add_subparsers(required=True, metavar="PART")
    part = _part(parts, "overhead", "time and CPU that the runner adds to a streamed chat")
    part.add_argument("--rounds", type=int, default=50, help="interleaved rounds (default: 50)")
    part.add_argument(
        "--speeds",
        type=int,
        nargs="+",
        default=[1000, 0],
        help="of the fake in tokens/s, 0: unbounded (default: 1000 0)",
    )
    part.set_defaults(run=lambda a: overhead.run(a.on, a.rounds, a.speeds))
    part = _part(parts, "load", "many clients at once, a third of whom leave")
    part.add_argument("--requests", type=int, default=1000, help="(default: 1000)")
    part.add_argument("--clients", type=int, default=50, help="(default: 50)")
    part.add_argument("--queue", type=int, default=16, help="the runner's --queue (default: 16, the runner's own)")
    part.add_argument("--seed", type=int, default=1, help="of the random moments (default: 1)")
    part.set_defaults(run=lambda a: load.run(a.on, load.Size(a.requests, a.clients, a.queue, a.seed)))
    part = _part(parts, "kills", "Shimmy killed again and again during load")
    part.add_argument("--kills", type=int, default=100, help="(default: 100)")
    part.add_argument("--clients", type=int, default=4, help="(default: 4)")
    part.add_argument(
        "--pause",
        type=float,
        default=10.5,
        help="seconds between a recovery and the next kill; the runner waits longer and longer before it restarts a"
        " Shimmy that lives less than 10 s (default: 10.5)",
    )
    part.set_defaults(run=lambda a: kills.run(a.on, kills.Plan(a.kills, a.clients, a.pause)))
    part = _part(parts, "loss", "the runner killed under load; which usage records are lost")
    part.add_argument("--kills", type=int, default=20, help="(default: 20)")
    part.add_argument("--clients", type=int, default=8, help="(default: 8)")
    part.add_argument("--pull", type=float, default=5.0, help="seconds between two pulls of a meter (default: 5)")
    part.set_defaults(run=lambda a: loss.run(a.on, loss.Plan(a.kills, a.clients, a.pull)))


def _part(
    parts: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    part = parts.add_parser(name, help=what, description=what)
    part.add_argument(
        "--on", nargs="+", choices=NAMES, default=["fake-llama", "fake-airframe"], help="(default: both lines' fakes)"
    )
    return part
