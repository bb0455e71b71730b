"""`hack/bench watch`: memory and CPU of the router's agent that watches many pods, and reports them every second.

Agent and Envoy are real, and so are the streams of the pods' loads; API server and metrics server are stand-ins.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devkit.bench.engine.watch import load_average
from devkit.bench.fleet.api_server import ApiServer, serve
from devkit.bench.fleet.objects import Size
from devkit.bench.fleet.plane import Plane, plane
from devkit.bench.procfs import cpu_seconds, peak_mib, resident_mib
from devkit.bench.watch.meter import Meter, meter
from devkit.bench.watch.objects import fleet
from devkit.ports import free
from devkit.progress import say

_MOST_MIB: Final = 640
"""Of the 768 that the chart allows: files in memory, and what the kernel keeps for so many sockets, count too."""
_MOST_CORES: Final = 1.0
_START_SECONDS: Final = 300
_SETTLE_SECONDS: Final = 15.0
"""After the last pod is known: Envoy takes its endpoints, and the agent saves its snapshot."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("watch", help="the router's agent: memory and CPU while it watches many pods")
    command.add_argument("--tenants", type=int, default=1000, help="(default: 1000)")
    command.add_argument("--models", type=int, default=10, help="of each tenant (default: 10)")
    command.add_argument("--pods", type=int, default=1, help="of each model (default: 1)")
    command.add_argument("--changes", type=float, default=500, help="of pods' loads a second (default: 500)")
    command.add_argument("--seconds", type=float, default=20, help="at rest, and of changes (default: 20)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> bool:
    size = Size(arguments.tenants, arguments.models)
    with tempfile.TemporaryDirectory() as scratch:
        return asyncio.run(_bench(Path(scratch), size, arguments.pods, arguments.changes, arguments.seconds))


async def _bench(folder: Path, size: Size, each: int, changes: float, seconds: float) -> bool:
    """Measure and print; whether the goals are met."""
    server, (api_port, pod_port) = ApiServer(), free(2)
    number = size.tenants * size.models * each
    for made in fleet(size, each, pod_port):
        server.write(made)
    (folder / "meter").mkdir()
    say(f"{size.tenants} tenants x {size.models} models x {each} pods")
    async with serve(server, api_port, folder / "kubeconfig"), meter(folder / "meter") as told:
        options = ["--meter", told.url, "--meter-folder", str(folder / "meter")]
        with _pods(pod_port, changes) as pods, plane(folder, folder / "kubeconfig", *options) as router:
            await _known(told, number)
            print(f"CPU until {number} pods are known {cpu_seconds(router.agent):8.1f} s")
            await asyncio.sleep(_SETTLE_SECONDS)
            at_rest = await _cores(router, told, seconds, "at rest")
            pods.send_signal(signal.SIGUSR1)
            busy = await _cores(router, told, seconds, f"{changes:g} changes/s")
            good = max(at_rest, busy) <= _MOST_CORES and peak_mib(router.agent) <= _MOST_MIB
    print(load_average())
    print(f"goal: {_MOST_MIB} MiB at any time and {_MOST_CORES:g} core: {'met' if good else 'missed'}")
    return good


async def _known(told: Meter, number: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            if told.pods() == number:
                return
            await asyncio.sleep(1)


async def _cores(router: Plane, told: Meter, seconds: float, state: str) -> float:
    before, reports = cpu_seconds(router.agent), told.reports
    await asyncio.sleep(seconds)
    cores = (cpu_seconds(router.agent) - before) / seconds
    memory, peak = resident_mib(router.agent), peak_mib(router.agent)
    print(
        f"{state:18} {cores:5.2f} cores, {(told.reports - reports) / seconds:.1f} reports/s, {memory:.0f} MiB", end=""
    )
    print(f" (at most {peak:.0f} so far); Envoy {resident_mib(router.envoy):.0f} MiB", flush=True)
    return cores


@contextmanager
def _pods(port: int, changes: float) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-m", "devkit.bench.watch.pods", str(port), str(changes)]) as process:
        try:
            yield process
        finally:
            process.kill()
