"""`hack/bench engine loss`: the runner is killed under load, as with a pod that vanishes; which usage is lost.

What is lost depends on what becomes of the emptyDir: it stays where only the container dies (out of memory, a crash),
and goes with the pod (eviction, a node that is lost).
"""

import asyncio
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from tests.contract.running import TOKEN, Program, Runner

from devkit.bench.engine import programs
from devkit.bench.engine.asking import Seen, Wish
from devkit.bench.engine.crowd import Crowd, Meter, whole
from devkit.bench.engine.watch import load_average
from devkit.bench.engine.wishes import fake_wish
from devkit.progress import say

_FAKE_SPEED: Final = 1000
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How often the runner is killed, and how often a meter pulls."""

    kills: int
    clients: int
    pull: float
    """Seconds between two pulls."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Loss:
    """One kill."""

    whole: int
    """Answers that clients had got to their end."""
    kept: int
    """Of these, in the journal on the emptyDir."""
    pulled: int
    """Of these, with the meter, which is what remains without the emptyDir."""
    cut_tokens: Sequence[int]
    """Tokens that clients had seen of answers that were cut; no record of them exists."""
    repeated: int
    """Records that came twice, to the meter and after the restart, beyond those never acknowledged."""


def measure(chosen: Program, folder: Path, plan: Plan) -> list[Loss]:
    """Kill runners of their own in folders under `folder`."""
    chosen = programs.at_speed(chosen, tokens_per_second=_FAKE_SPEED)
    chance, losses = random.Random(plan.seed), []
    for number in range(plan.kills):
        place = folder / str(number)
        with programs.serving(chosen, place, "--queue", str(plan.clients)) as running:
            seen, meter = asyncio.run(_load_and_kill(running, plan, chance))
        with programs.serving(chosen, place) as running:
            rest = asyncio.run(_all_records(running))
        losses.append(_compare(seen, [record.request_id for record in meter.records], rest))
        if (number + 1) % max(1, plan.kills // 10) == 0:
            say(f"{number + 1} of {plan.kills} kills")
    return losses


async def _load_and_kill(running: Runner, plan: Plan, chance: random.Random) -> tuple[list[Seen], Meter]:
    crowd, meter = Crowd(running.url, TOKEN, _PATIENCE), Meter(running.url, TOKEN)
    begun = asyncio.Event()
    load = asyncio.create_task(crowd.run(_wishes(chance), plan.clients, begun.set))
    pulling = asyncio.create_task(_pull(meter, plan.pull))
    await asyncio.sleep(2 * plan.pull + chance.uniform(0, plan.pull))
    await asyncio.wait_for(begun.wait(), _PATIENCE)
    crowd.stopped = True
    running.process.kill()
    await load
    pulling.cancel()
    await asyncio.wait([pulling])
    await meter.aclose()
    return crowd.seen, meter


async def _pull(meter: Meter, every: float) -> None:
    with suppress(httpx.TransportError):
        while True:
            await asyncio.sleep(every)
            await meter.pull()


def _wishes(chance: random.Random) -> Iterator[Wish]:
    number = 0
    while True:
        number += 1
        yield fake_wish(f"wish-{number}", chance)


async def _all_records(running: Runner) -> list[str]:
    meter = Meter(running.url, TOKEN)
    try:
        await meter.pull()
    finally:
        await meter.aclose()
    return [record.request_id for record in meter.records]


def _compare(seen: Sequence[Seen], pulled: Sequence[str], rest: Sequence[str]) -> Loss:
    answered = {each.request_id for each in whole(seen)}
    return Loss(
        whole=len(answered),
        kept=len(answered & {*pulled, *rest}),
        pulled=len(answered & {*pulled}),
        cut_tokens=[each.pieces for each in seen if each.request_id not in answered and each.pieces],
        repeated=len(rest) - len({*rest}),
    )


def run(names: Sequence[str], plan: Plan) -> bool:
    """Measure and print; whether the emptyDir kept every whole answer."""
    good = True
    for name in names:
        say(f"{name}: the runner killed {plan.kills} times under {plan.clients} clients, a pull each {plan.pull:g} s")
        with tempfile.TemporaryDirectory() as scratch:
            losses = measure(programs.program(name, Path(scratch)), Path(scratch), plan)
        _print(name, plan, losses)
        good = good and all(loss.kept == loss.whole and not loss.repeated for loss in losses)
    return good


def _print(name: str, plan: Plan, losses: Sequence[Loss]) -> None:
    print(f"\n{name}: {plan.kills} kills, {plan.clients} clients, a pull each {plan.pull:g} s; {load_average()}")
    print(f"  whole answers {sum(loss.whole for loss in losses)}")
    _line("emptyDir kept: whole answers without a record", [loss.whole - loss.kept for loss in losses])
    _line("emptyDir gone: whole answers without a record", [loss.whole - loss.pulled for loss in losses])
    _line("either way: answers cut off by the kill, without a record", [len(loss.cut_tokens) for loss in losses])
    _line("either way: tokens that clients saw of them", [sum(loss.cut_tokens) for loss in losses])


def _line(what: str, values: Sequence[int]) -> None:
    print(f"  {what}: {sum(values)} in all, median {statistics.median(values):g}, max {max(values)} a kill")
