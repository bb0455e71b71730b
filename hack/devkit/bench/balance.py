"""`hack/bench balance`: how long requests wait for a pod, against one ideal queue before all pods.

Real Envoys and agents before pods that sleep; the ideal queue is simulated from the very same arrivals and lengths.
"""

import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from devkit import packages
from devkit.bench.balance_pods import SECONDS
from devkit.bench.balance_queue import POLICIES, SPREAD, Arrival, ideal, poisson, simulate
from devkit.bench.envoys import HOST, KEY, MODEL, answers, router
from devkit.ports import free
from devkit.progress import say

PODS: Final = 8
LOAD: Final = 0.9
GOALS: Final = {1: 1.35, 3: 1.5}
"""Most times the ideal queue's mean wait, by the number of routers."""
_SINGLE: Final = 20
_SIMULATED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Run:
    """The requests of one run."""

    wait: float
    """Mean seconds beyond those in which a pod worked on the request."""
    ideal: float
    floor: float
    """The same of requests that are sent one by one: what the way there and back takes on this machine."""
    failed: int

    @property
    def ratio(self) -> float:
        """Of the wait to the ideal one."""
        return self.wait / self.ideal


def run(runs: int, requests: int, seed: int, longest: float) -> bool:
    """Measure and print; whether the goals are met and every request was answered.

    Raises:
        packages.MissingError: curl is missing.
    """
    packages.require("the benchmark", [packages.program("curl", "curl")])
    good = True
    print(f"{PODS} pods, {LOAD:.0%} load, {requests} requests a run, of {longest / SPREAD:g} to {longest:g} s")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        pods = stack.enter_context(_pods(Path(scratch)))
        routers: list[int] = []
        for count, goal in GOALS.items():
            while len(routers) < count:
                folder = Path(scratch) / f"router-{len(routers)}"
                folder.mkdir()
                port, _ = stack.enter_context(router(folder, *pods))
                answers(port)
                routers.append(port)
            measured = []
            for number in range(runs):
                measured.append(asyncio.run(_measure(routers, requests, random.Random(seed + number), longest)))
                say(f"{count} router(s), run {number + 1} of {runs}: {measured[-1].ratio:.2f}")
            good &= _report(count, goal, measured)
    return good


def table(seed: int) -> None:
    """Print what the policies do in simulation."""
    arrivals = poisson(_SIMULATED, PODS, LOAD, random.Random(seed))
    best = ideal(arrivals, PODS)
    print(f"{'simulated mean wait / ideal':48} {'1 router':>9} {'3 routers':>10}")
    for policy in POLICIES:
        one, three = (simulate(arrivals, PODS, count, policy, random.Random(seed)) / best for count in (1, 3))
        print(f"{policy.name:48} {one:9.2f} {three:10.2f}")


def _report(count: int, goal: float, measured: Sequence[Run]) -> bool:
    ratio = statistics.median(one.ratio for one in measured)
    values = zip(*((one.wait, one.ideal, one.floor) for one in measured), strict=True)
    wait, best, floor = (f"{statistics.median(found) * 1e3:.0f} ms" for found in values)
    failed = sum(one.failed for one in measured)
    verdict = "met" if ratio <= goal else "MISSED"
    print(f"{count} router(s): {ratio:.2f} times the ideal wait (goal {goal:.2f} {verdict}, median of {len(measured)})")
    print(
        f"  mean wait {wait}, ideal {best}; {floor} of it is the way there and back, alone; failed requests: {failed}"
    )
    return ratio <= goal and not failed


async def _measure(routers: Sequence[int], requests: int, chance: random.Random, longest: float) -> Run:
    """Send the requests at their moments, each through a router that is chosen at random."""
    clock = asyncio.get_running_loop().time
    done: list[tuple[Arrival, float]] = []
    failed = 0

    async def ask(session: aiohttp.ClientSession, port: int, seconds: float) -> None:
        nonlocal failed
        begin = clock()
        url, body = f"http://{HOST}:{port}/v1/chat/completions", {"model": MODEL, "seconds": seconds}
        async with session.post(url, json=body, headers={"authorization": f"Bearer {KEY}"}) as response:
            await response.read()
            if response.status == 200:
                worked = float(response.headers[SECONDS])
                done.append((Arrival(begin, worked), clock() - begin - worked))
            else:
                failed += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for number in range(_SINGLE):
            await ask(session, routers[number % len(routers)], longest / SPREAD)
        floor = statistics.fmean(wait for _, wait in done)
        done.clear()
        begin = clock()
        for arrival in poisson(requests, PODS, LOAD, chance, longest):
            await asyncio.sleep(begin + arrival.at - clock())
            group.create_task(ask(session, chance.choice(routers), arrival.seconds))
    best = ideal([arrival for arrival, _ in done], PODS)
    return Run(statistics.fmean(wait for _, wait in done), best, floor, failed)


@contextmanager
def _pods(folder: Path) -> Iterator[list[int]]:
    ports = free(PODS)
    command = [sys.executable, "-m", "devkit.bench.balance_pods", *map(str, ports)]
    with (folder / "pods.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield ports
        finally:
            process.terminate()
