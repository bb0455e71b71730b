"""`hack/bench meter`: CPU of the metrics server while routers report a large fleet every second.

It is the real process, behind TLS; the API server and the routers are stand-ins.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from devkit.bench.engine.watch import load_average
from devkit.bench.meter.api_server import api_server
from devkit.bench.meter.reports import report
from devkit.bench.meter.server import Server, server
from devkit.bench.procfs import resident_mib
from devkit.paths import REPOSITORY
from devkit.progress import say
from shimmy_api.load import LoadReport
from shimmy_meter import wire

GOAL: Final = 0.5
"""Cores for reports alone, at the most."""
_READ: Final = ", read every second"
_OURS: Final = "here"
_BESIDE: Final = "beside"
_SECONDS_OF_LOAD: Final = 3
"""Different reports of each router under load; at rest they are all the same."""

Reports = Sequence[Sequence[bytes]]
"""By router, those of several seconds."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("meter", help="the metrics server: CPU for a large fleet's reports")
    command.add_argument("--deployments", type=int, default=10_000, help="(default: 10000)")
    command.add_argument("--routers", type=int, default=4, help="that report all of them (default: 4)")
    command.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    command.add_argument("--seconds", type=int, default=5, help="of reports in each round (default: 5)")
    command.add_argument(
        "--beside", type=Path, metavar="FOLDER", help="operator/ of another checkout, in turn with this"
    )
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> bool:
    packages = {_OURS: REPOSITORY / "operator"}
    if arguments.beside:
        packages[_BESIDE] = arguments.beside.resolve(strict=True)
    loads = {
        "at rest": _reports(arguments.deployments, arguments.routers, busy=False),
        "full load": _reports(arguments.deployments, arguments.routers, busy=True),
    }
    _print_reading(loads, arguments.rounds)
    found = asyncio.run(_measure(packages, loads, arguments.rounds, arguments.seconds))
    print(load_average())
    for name, cores in found.items():
        print(_row(name, cores))
    good = all(statistics.median(cores[_OURS]) <= GOAL for name, cores in found.items() if not name.endswith(_READ))
    print(f"goal: {GOAL:g} cores for reports alone: {'met' if good else 'missed'}")
    return good


def _reports(deployments: int, routers: int, *, busy: bool) -> Reports:
    def of(router: int) -> Sequence[bytes]:
        chances = [random.Random(100 * router + second) for second in range(_SECONDS_OF_LOAD)] if busy else [None]
        return [report(f"router-{router}", deployments, chance) for chance in chances]

    say(f"{routers} routers report {deployments} Deployments")
    return [of(router) for router in range(routers)]


async def _measure(
    packages: dict[str, Path], loads: dict[str, Reports], rounds: int, seconds: int
) -> dict[str, dict[str, list[float]]]:
    """Cores of each server, by what it did."""
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        async with api_server(Path(scratch)) as kubeconfig, aiohttp.ClientSession() as session:
            servers: dict[str, Server] = {}
            for side, folder in packages.items():
                own = Path(scratch) / side
                own.mkdir()
                servers[side] = stack.enter_context(server(own, kubeconfig, folder))
                await servers[side].ready(session)
            for number in range(rounds):
                for load, reports in loads.items():
                    for read in (False, True):
                        row = found.setdefault(f"{load}{_READ if read else ''}", {})
                        for side in sorted(servers, reverse=bool(number % 2)):
                            cores = await servers[side].cores(session, reports, seconds, read=read)
                            row.setdefault(side, []).append(cores)
                say(f"round {number + 1} of {rounds}")
            for side, one in servers.items():
                print(f"memory {side:27} {resident_mib(one.process):6.0f} MiB")
    return found


def _row(name: str, cores: dict[str, list[float]]) -> str:
    ours = cores[_OURS]
    words = f"cores, {name:30} {statistics.median(ours):5.2f} ({min(ours):.2f}..{max(ours):.2f})"
    if _BESIDE in cores:
        ratio = statistics.median(a / b for a, b in zip(ours, cores[_BESIDE], strict=True))
        words += f"   beside {statistics.median(cores[_BESIDE]):5.2f}, ratio {ratio:.2f}"
    return words


def _print_reading(loads: dict[str, Reports], rounds: int) -> None:
    """Reading alone, in this process, beside pydantic."""
    for load, reports in loads.items():
        bodies = [own[0] for own in reports]
        pairs = [(_cpu(wire.read, bodies), _cpu(LoadReport.model_validate_json, bodies)) for _ in range(rounds)]
        ours, ratio = statistics.median(a for a, _ in pairs), statistics.median(a / b for a, b in pairs)
        print(f"reading {load:26} {ours:6.3f} s   pydantic = 1: {ratio:.2f}   {sum(map(len, bodies)) / 1e6:.1f} MB")


def _cpu(read: Callable[[bytes], object], bodies: Sequence[bytes]) -> float:
    begin = time.process_time()
    for body in bodies:
        read(body)
    return time.process_time() - begin
