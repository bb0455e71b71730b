"""Command line of `hack/bench`."""

import argparse
import sys

from devkit.bench import router
from devkit.bench.engine import command as engine
from devkit.packages import MissingError


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(
        prog="hack/bench",
        description="Benchmarks. Each prints ratios to a peer that is measured in the same run: machines are noisy.",
    )
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    command = commands.add_parser("router", help="the router beside a plain Envoy proxy: CPU per request and latency")
    command.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    command.add_argument("--seconds", type=int, default=4, help="of load in each round (default: 4)")
    command.set_defaults(run=lambda arguments: router.run(arguments.rounds, arguments.seconds))
    engine.add(commands)
    arguments = parser.parse_args()
    try:
        good = arguments.run(arguments)
    except (MissingError, RuntimeError, TimeoutError) as error:
        sys.exit(f"hack/bench: {error}")
    sys.exit(good is False)


if __name__ == "__main__":
    main()
