"""`hack/bench engine kills`: Shimmy is killed again and again under load; how soon it answers, what is lost."""

import asyncio
import os
import random
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.contract.running import TOKEN, Program, Runner

from devkit.bench import procfs
from devkit.bench.engine import programs
from devkit.bench.engine.asking import Seen, Wish
from devkit.bench.engine.crowd import Crowd, metered, whole
from devkit.bench.engine.verdict import Evidence, Expected, faults
from devkit.bench.engine.watch import load_average
from devkit.bench.engine.wishes import QUESTIONS, fake_wish, learn, question
from devkit.progress import say
from devkit.waiting import until

_FAKE_SPEED: Final = 200
_PATIENCE: Final = 240.0
_RECOVERY: Final = 120.0
_IDLE: Final = 60.0
_FEW: Final = QUESTIONS[:10]


@dataclass(frozen=True, slots=True)
class Plan:
    """How often, and how far apart."""

    kills: int
    clients: int
    pause: float
    """Seconds for which Shimmy lives between its recovery and the next kill, at the least."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known afterwards."""

    recoveries: Sequence[float]
    """Seconds from each kill to the end of the first answer that began after it."""
    seen: Sequence[Seen]
    faults: Sequence[str]
    orphans: int
    """Processes left when the runner had ended."""
    restarts: float
    """As the runner counts them."""


def measure(chosen: Program, folder: Path, plan: Plan) -> Result:
    """Kill the Shimmy of a runner of its own in `folder`."""
    account, oracle = programs.Account(folder / "account"), programs.Oracle(chosen)
    if chosen.fake:
        chosen = account.kept_by(programs.at_speed(chosen, tokens_per_second=_FAKE_SPEED))
    with programs.serving(chosen, folder, "--queue", str(plan.clients)) as running:
        killing = _Killing(chosen, running, plan, oracle)
        recoveries, found, restarts = asyncio.run(killing.measure(account))
    orphans = len(procfs.with_environment(f"{folder / 'state'}"))
    return Result(recoveries, killing.crowd.seen, found, orphans, restarts)


class _Killing:
    """One load on one runner whose Shimmy dies."""

    def __init__(self, chosen: Program, running: Runner, plan: Plan, oracle: programs.Oracle) -> None:
        self.crowd = Crowd(running.url, TOKEN, _PATIENCE)
        self._fake = chosen.fake
        self._running = running
        self._plan = plan
        self._oracle = oracle
        self._chance = random.Random(plan.seed)
        self._expected: dict[str, Expected] = {}

    async def measure(self, account: programs.Account) -> tuple[list[float], list[str], float]:
        recoveries: list[float] = []
        doubts: list[str] = []
        async with metered(self._running.url, TOKEN, every=1.0) as meter:
            if not self._fake:
                lesson = await learn(self.crowd, _FEW, self._oracle)
                self._expected, doubts = lesson.expected, lesson.doubts
            load = asyncio.create_task(self.crowd.run(self._wishes(), self._plan.clients))
            try:
                for number in range(self._plan.kills):
                    await asyncio.sleep(self._plan.pause + self._chance.uniform(0, 0.5))
                    recoveries.append(await self._kill())
                    if (number + 1) % max(1, self._plan.kills // 10) == 0:
                        say(f"{number + 1} of {self._plan.kills} kills, the last one over after {recoveries[-1]:.2f} s")
            finally:
                self.crowd.stopped = True
                await load
            await asyncio.to_thread(until, self._idle, "an idle runner", seconds=_IDLE)
            restarts = await asyncio.to_thread(self._running.metric, "shimmy_engine_restarts")
        produced = account.produced(list(self._expected)) if self._fake else None
        evidence = Evidence(self.crowd.seen, meter.records, self._expected, produced, failures=True)
        return recoveries, [*doubts, *faults(evidence)], restarts

    def _wishes(self) -> Iterator[Wish]:
        """Without end; each answer of the fake is its own."""
        number = 0
        while True:
            number += 1
            name = f"wish-{number}"
            wish = fake_wish(name, self._chance) if self._fake else question(name, self._chance, _FEW)
            if self._fake:
                self._expected[wish.prompt] = self._oracle.expected(wish.prompt, wish.max_tokens)
            yield wish

    async def _kill(self) -> float:
        """Kill what runs; seconds to the end of the first whole answer whose text began afterwards."""
        victim = await asyncio.to_thread(programs.engine, self._running)
        os.kill(victim, signal.SIGKILL)
        begin, known = time.monotonic(), len(self.crowd.seen)
        while time.monotonic() - begin < _RECOVERY:
            await asyncio.sleep(0.005)
            for seen in whole(self.crowd.seen[known:]):
                if seen.first_text_at > begin:
                    return time.monotonic() - begin
        raise TimeoutError(f"no answer within {_RECOVERY:g} s after a kill")

    def _idle(self) -> bool:
        return not self._running.metric("shimmy_engine_requests_in_flight") and self._running.ready()


def run(names: Sequence[str], plan: Plan) -> bool:
    """Measure and print; whether nothing was lost."""
    good = True
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            say(f"{name}: {plan.kills} kills, {plan.pause:g} s apart, {plan.clients} clients")
            result = measure(programs.program(name, folder), folder, plan)
        _print(name, plan, result)
        good = good and not result.faults and not result.orphans
    return good


def _print(name: str, plan: Plan, result: Result) -> None:
    times = sorted(result.recoveries)
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    codes = Counter(seen.code or "whole" for seen in result.seen)
    print(f"\n{name}: {plan.kills} kills, {plan.pause:g} s apart, {plan.clients} clients; {load_average()}")
    print(
        f"  from the kill to the end of the next answer: median {statistics.median(times):.2f} s, p95 {p95:.2f} s,"
        f" max {times[-1]:.2f} s"
    )
    print(f"  {len(result.seen)} requests: {', '.join(f'{count} {code}' for code, count in codes.items())}")
    print(f"  restarts {result.restarts:.0f}, processes left at the end {result.orphans}")
    print(f"  without an answer or an error, or wrong in the accounts: {len(result.faults)}")
    for fault in result.faults[:20]:
        print(f"    {fault}")
