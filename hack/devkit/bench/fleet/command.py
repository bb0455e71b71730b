"""`hack/bench fleet`: prints what the router needs for a large fleet, and how fast its changes serve."""

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from devkit.bench.envoys import stub
from devkit.bench.fleet import objects
from devkit.bench.fleet.api_server import ApiServer, serve
from devkit.bench.fleet.changes import Editor, Load, Times
from devkit.bench.fleet.client import Client
from devkit.bench.fleet.objects import Size
from devkit.bench.fleet.plane import Plane, becomes, plane
from devkit.bench.procfs import cpu_seconds, resident_mib
from devkit.ports import free
from devkit.progress import say

_CONNECTIONS: Final = 8
_PER_SECOND: Final = 20.0
_IDLE_SECONDS: Final = 0.1
"""Between two changes on an idle machine, so that one ends before the next begins."""
_LOAD_PAUSE_SECONDS: Final = 0.02


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("fleet", help="a large fleet: memory, start, and how fast its changes serve")
    command.add_argument("--tenants", type=int, default=1000, help="each with one key (default: 1000)")
    command.add_argument("--models", type=int, default=10, help="of each tenant (default: 10)")
    command.add_argument("--rounds", type=int, default=100, help="timed changes, idle and busy (default: 100)")
    command.add_argument("--minutes", type=float, default=1, help="of changes under load (default: 1)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        size = Size(arguments.tenants, arguments.models)
        return asyncio.run(_bench(Path(scratch), size, arguments.rounds, arguments.minutes))


async def _bench(folder: Path, size: Size, rounds: int, minutes: float) -> bool:
    """Measure and print; whether no request failed and no connection was closed."""
    server, (api_port,) = ApiServer(), free(1)
    with stub(folder) as port:
        for made in objects.fleet(size, port):
            server.write(made)
        say(f"{size.tenants} tenants x {size.models} models")
        async with serve(server, api_port, folder / "kubeconfig"):
            with plane(folder, folder / "kubeconfig") as router:
                await _start(router, size)
                editor = Editor(server, size, port, seed=1)
                _print_times("idle", await editor.measure(router.port, rounds, _IDLE_SECONDS))
                changing = asyncio.create_task(Editor(server, size, port, seed=2).keep_changing(_PER_SECOND))
                try:
                    _print_times(f"{_PER_SECOND:g} changes/s", await editor.measure(router.port, rounds))
                    good = await _load(router, size, minutes)
                finally:
                    changing.cancel()
                _print_memory(router, "at the end")
    return good


async def _start(router: Plane, size: Size) -> None:
    client = Client(router.port)
    await becomes(client, objects.key(size.tenants - 1), f"m{size.models - 1}", 200)
    print(f"cold start to serving      {time.monotonic() - router.started:8.2f} s")
    print(f"CPU of that: agent         {cpu_seconds(router.agent):8.2f} s")
    print(f"CPU of that: Envoy         {cpu_seconds(router.envoy):8.2f} s")
    client.close()
    _print_memory(router, "at the start")


async def _load(router: Plane, size: Size, minutes: float) -> bool:
    load = Load(router.port, size, _LOAD_PAUSE_SECONDS)
    before = cpu_seconds(router.agent)
    telling = asyncio.create_task(_tell_memory(router))
    try:
        await load.run(_CONNECTIONS, minutes * 60)
    finally:
        telling.cancel()
    share = (cpu_seconds(router.agent) - before) / (minutes * 60)
    print(f"{minutes:g} min under load, {_PER_SECOND:g} changes/s: {load.requests} requests,", end=" ")
    print(f"{load.failed} not 200, {load.closed} connections closed by Envoy; the agent used {share:.0%} of a core")
    return load.failed == load.closed == 0


async def _tell_memory(router: Plane) -> None:
    """Tell it every minute: it grows until each model was asked for once, and should stop there."""
    for minute in itertools.count(1):
        await asyncio.sleep(60)
        _print_memory(router, f"after {minute} min")


def _print_times(state: str, times: Times) -> None:
    _print_row(f"model added, {state}", times.served)
    _print_row(f"key revoked, {state}", times.revoked)


def _print_row(name: str, seconds: Sequence[float]) -> None:
    milliseconds = [1000 * value for value in seconds]
    p99 = statistics.quantiles(milliseconds, n=100, method="inclusive")[98]
    print(f"{name:30} p50 {statistics.median(milliseconds):7.1f} ms   p99 {p99:7.1f} ms")


def _print_memory(router: Plane, moment: str) -> None:
    print(
        f"memory {moment}: agent {resident_mib(router.agent):.0f} MiB, Envoy {resident_mib(router.envoy):.0f} MiB",
        flush=True,
    )
