"""Command line of `hack/bench engine`."""

import argparse

from devkit.bench.engine import load
from devkit.bench.engine.programs import NAMES


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark and its parts."""
    description = (
        "The runner beside Shimmy alone, and what it keeps under load, kills and crashes. Each part ends with 1 where"
        " an answer or a usage record was lost, doubled, mixed up or miscounted."
    )
    engine = commands.add_parser("engine", help="the engine runner beside Shimmy alone", description=description)
    parts = engine.add_subparsers(required=True, metavar="PART")
    part = _part(parts, "load", "many clients at once, a third of whom leave")
    part.add_argument("--requests", type=int, default=1000, help="(default: 1000)")
    part.add_argument("--clients", type=int, default=50, help="(default: 50)")
    part.add_argument("--queue", type=int, default=16, help="the runner's --queue (default: 16, the runner's own)")
    part.add_argument("--seed", type=int, default=1, help="of the random moments (default: 1)")
    part.set_defaults(run=lambda a: load.run(a.on, load.Size(a.requests, a.clients, a.queue, a.seed)))


def _part(
    parts: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    part = parts.add_parser(name, help=what, description=what)
    part.add_argument(
        "--on", nargs="+", choices=NAMES, default=["fake-llama", "fake-airframe"], help="(default: both lines' fakes)"
    )
    return part
