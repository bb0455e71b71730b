"""`hack/bench engine load`: many clients at once, a third of whom leave; whether anything is lost, or mixed up."""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.contract.running import TOKEN, Program, Runner

from devkit.bench.engine import programs
from devkit.bench.engine.asking import Seen, Wish
from devkit.bench.engine.crowd import Crowd, metered, whole
from devkit.bench.engine.verdict import REFUSALS, Evidence, Expected, faults
from devkit.bench.engine.watch import Holding, holding, load_average, slope
from devkit.bench.engine.wishes import QUESTIONS, REAL_TOKENS, ask_alone, fake_wish, learn, leaving, question
from devkit.progress import say
from devkit.waiting import until
from shimmy_api.usage import UsageRecord

_FAKE_SPEED: Final = 1000
_FAKE_SECONDS: Final = 0.04
"""About what an answer of the fake takes at that speed."""
_PATIENCE: Final = 300.0
_IDLE: Final = 60.0
_SAMPLE: Final = 0.5
_PULL: Final = 0.5
_WARM: Final = 0.3
"""Share of the load after which memory should not grow any more."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much load."""

    requests: int
    clients: int
    queue: int
    """The runner's --queue."""
    seed: int = 1
    questions: int = len(QUESTIONS)
    """Different ones that a real model is asked."""


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known after a load."""

    seconds: float
    seen: Sequence[Seen]
    records: Sequence[UsageRecord]
    faults: Sequence[str]
    at_rest_before: Holding
    samples: Sequence[Holding]
    at_rest_after: Holding
    next_answer: float
    """Seconds from the end of the load to the whole answer of one more request."""
    alone: float
    """The same for that request before the load."""


def measure(chosen: Program, folder: Path, size: Size) -> Result:
    """Put the load on a runner of its own in `folder`."""
    account = programs.Account(folder / "account")
    if chosen.fake:
        chosen = account.kept_by(programs.at_speed(chosen, tokens_per_second=_FAKE_SPEED))
    with programs.serving(chosen, folder, "--queue", str(size.queue)) as running:
        return asyncio.run(_Load(chosen, running, folder, size).measure(account))


class _Load:
    """One load on one runner."""

    def __init__(self, chosen: Program, running: Runner, folder: Path, size: Size) -> None:
        self._fake = chosen.fake
        self._oracle = programs.Oracle(chosen)
        self._running = running
        self._folder = folder
        self._size = size
        self._crowd = Crowd(running.url, TOKEN, _PATIENCE)
        self._expected: dict[str, Expected] = {}
        self._doubts: list[str] = []

    async def measure(self, account: programs.Account) -> Result:
        async with metered(self._running.url, TOKEN, every=_PULL) as meter:
            wishes = await self._prepare()
            alone = await self._one_more("before")
            before, samples = await self._look(), list[Holding]()
            sampling = asyncio.create_task(self._sample(samples))
            begin = time.monotonic()
            await self._crowd.run(iter(wishes), self._size.clients, _progress(self._size.requests))
            seconds = time.monotonic() - begin
            sampling.cancel()
            after_load = await self._one_more("after")
            await asyncio.to_thread(until, self._idle, "the end of what clients have left", seconds=_IDLE)
        seen, produced = self._crowd.seen, account.produced(list(self._expected)) if self._fake else None
        found = [*self._doubts, *faults(Evidence(seen, meter.records, self._expected, produced))]
        return Result(seconds, seen, meter.records, found, before, samples, await self._look(), after_load, alone)

    async def _prepare(self) -> list[Wish]:
        """The wishes, and what is to be expected: the fake's answers are known, the real model's are asked for."""
        chance, names = random.Random(self._size.seed), [f"wish-{number}" for number in range(self._size.requests)]
        if self._fake:
            wishes = [leaving(fake_wish(name, chance), chance, self._size.clients * _FAKE_SECONDS) for name in names]
            self._expected = {wish.prompt: self._oracle.expected(wish.prompt, wish.max_tokens) for wish in wishes}
            return wishes
        questions = QUESTIONS[: self._size.questions]
        say(f"asking {len(questions)} questions alone")
        begin = time.monotonic()
        lesson = await learn(self._crowd, questions, self._oracle)
        self._expected, self._doubts = lesson.expected, lesson.doubts
        longest = self._size.clients * (time.monotonic() - begin) / len(questions)
        return [leaving(question(name, chance, questions), chance, longest) for name in names]

    async def _one_more(self, name: str) -> float:
        """Seconds that one answer takes now."""
        wish = fake_wish(name, random.Random(0)) if self._fake else Wish(name, QUESTIONS[0], REAL_TOKENS)
        if self._fake:
            self._expected[wish.prompt] = self._oracle.expected(wish.prompt, wish.max_tokens)
        begin = time.monotonic()
        await ask_alone(self._crowd, wish)
        return time.monotonic() - begin

    async def _look(self) -> Holding:
        return await asyncio.to_thread(holding, self._running, self._folder, len(self._crowd.seen))

    async def _sample(self, samples: list[Holding]) -> None:
        while True:
            samples.append(await self._look())
            await asyncio.sleep(_SAMPLE)

    def _idle(self) -> bool:
        names = ("shimmy_engine_requests_in_flight", "shimmy_engine_requests_queued")
        return not any(self._running.metric(name) for name in names)


def _progress(requests: int) -> Callable[[], None]:
    answered = 0

    def one_more() -> None:
        nonlocal answered
        answered += 1
        if answered % max(1, requests // 10) == 0:
            say(f"{answered} of {requests} requests")

    return one_more


def run(names: Sequence[str], size: Size) -> bool:
    """Measure and print; whether nothing was wrong."""
    good = True
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            say(f"{name}: {size.requests} requests from {size.clients} clients, queue {size.queue}")
            result = measure(programs.program(name, folder), folder, size)
        _print(name, size, result)
        good = good and not result.faults
    return good


def _print(name: str, size: Size, result: Result) -> None:
    seen, records = result.seen, result.records
    refused = sum(1 for each in seen if each.code in REFUSALS)
    left = [each for each in seen if each.left]
    tokens = sum(record.completion_tokens for record in records)
    outcomes = Counter(record.outcome for record in records)
    print(f"\n{name}: {size.requests} requests, {size.clients} clients, queue {size.queue}; {load_average()}")
    print(f"  {result.seconds:.1f} s, {tokens} completion tokens, {refused} times 429 with Retry-After")
    print(f"  whole answers {len(whole(seen))}; left {len(left)}: {_moments(left, records)}")
    print(f"  journal {len(records)} records: {', '.join(f'{count} {what}' for what, count in outcomes.items())}")
    print(f"  lost, doubled, mixed up or miscounted: {len(result.faults)}")
    for fault in result.faults[:20]:
        print(f"    {fault}")
    print(f"  next answer after the load {result.next_answer:.2f} s (alone before it {result.alone:.2f} s)")
    _print_growth(result)


def _moments(left: Sequence[Seen], records: Sequence[UsageRecord]) -> str:
    reached = {record.request_id for record in records}
    in_stream = sum(1 for each in left if each.text)
    in_line = sum(1 for each in left if each.request_id not in reached)
    return f"{in_line} before their turn, {len(left) - in_stream - in_line} before any text, {in_stream} in the text"


def _print_growth(result: Result) -> None:
    before, after = result.at_rest_before, result.at_rest_after
    later = [sample for sample in result.samples if sample.requests - before.requests > len(result.seen) * _WARM]
    for what, unit in (("runner_mib", "MiB"), ("shimmy_mib", "MiB"), ("runner_files", "descriptors")):
        growth = slope([(sample.requests / 1000, float(getattr(sample, what))) for sample in later])
        print(
            f"  {what}: {getattr(before, what):.1f} before, {getattr(after, what):.1f} after,"
            f" {growth:+.2f} {unit} per 1,000 requests after the first {_WARM:.0%}"
        )
    for what in ("shimmy_files", "state_files", "state_kib"):
        print(f"  {what}: {getattr(before, what):.0f} before, {getattr(after, what):.0f} after")
