"""Command line of `hack/bench`."""

import argparse
import sys

from devkit.bench import balance, router, wake_many
from devkit.bench.engine import command as engine
from devkit.bench.faults import command as faults
from devkit.bench.fleet import command as fleet
from devkit.bench.meter import command as meter
from devkit.bench.scaling import command as scaling
from devkit.bench.wake import command as wake
from devkit.bench.watch import command as watch
from devkit.packages import MissingError


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(
        prog="hack/bench",
        description="Benchmarks. Each prints ratios to a peer that is measured in the same run: machines are noisy.",
    )
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    command = commands.add_parser("router", help="the router beside a plain Envoy proxy: CPU, latency, rates, memory")
    command.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    command.add_argument("--seconds", type=int, default=4, help="of load in each round (default: 4)")
    command.add_argument("--peers", action="store_true", help="beside vllm-router and LiteLLM too, from PyPI")
    command.add_argument(
        "--events",
        type=int,
        default=500,
        help="of a streamed answer: the fewer, the more weighs what a request costs (default: 500)",
    )
    command.set_defaults(run=lambda given: router.run(given.rounds, given.seconds, given.events, peers=given.peers))
    command = commands.add_parser("balance", help="waits for a pod of several, against one ideal queue before all")
    command.add_argument("--runs", type=int, default=5, help="with each number of routers (default: 5)")
    command.add_argument("--requests", type=int, default=300, help="of each run, about 50 s (default: 300)")
    command.add_argument("--seed", type=int, default=1, help="of arrivals and lengths (default: 1)")
    command.add_argument(
        "--longest", type=float, default=3.0, help="request in seconds; the shortest takes a tenth of it (default: 3)"
    )
    command.add_argument("--simulate", action="store_true", help="only print what several policies do in simulation")
    command.set_defaults(run=_balance)
    command = commands.add_parser("wake-many", help="many models at zero, and requests for all of them at once")
    command.add_argument("--models", type=int, default=100, help="(default: 100)")
    command.add_argument("--requests", type=int, default=1000, help="over all models (default: 1000)")
    command.add_argument("--start-seconds", type=float, default=3, help="that a pod takes to be ready (default: 3)")
    command.set_defaults(run=lambda given: wake_many.run(given.models, given.requests, given.start_seconds))
    engine.add(commands)
    faults.add(commands)
    fleet.add(commands)
    meter.add(commands)
    scaling.add(commands)
    wake.add(commands)
    watch.add(commands)
    arguments = parser.parse_args()
    try:
        good = arguments.run(arguments)
    except (MissingError, RuntimeError, TimeoutError) as error:
        sys.exit(f"hack/bench: {error}")
    sys.exit(good is False)


def _balance(arguments: argparse.Namespace) -> bool:
    if arguments.simulate:
        balance.table(arguments.seed)
        return True
    return balance.run(arguments.runs, arguments.requests, arguments.seed, arguments.longest)


if __name__ == "__main__":
    main()
