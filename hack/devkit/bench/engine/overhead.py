"""`hack/bench engine overhead`: the runner beside its own Shimmy asked without it, turn by turn in one run."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.contract.running import TOKEN, Program, Runner

from devkit.bench.engine import programs
from devkit.bench.engine.asking import MODEL
from devkit.bench.engine.stream_timing import Timing, stream
from devkit.bench.engine.watch import load_average
from devkit.bench.procfs import cpu_seconds
from devkit.progress import say
from shimmy_api.headers import ENGINE_TOKEN

_PROMPT: Final = "Tell me a long story about a lighthouse keeper."
_WARM_UP: Final = 3
_FAKE_TOKENS: Final = 500
_REAL_TOKENS: Final = 32


@dataclass(frozen=True, slots=True)
class Side:
    """One way to the same Shimmy, and what going there has shown."""

    ask: Callable[[], Timing]
    timings: list[Timing]
    cpu: list[float]
    """Seconds of CPU that Shimmy alone, or the runner alone, has used for each answer."""


def run(names: Sequence[str], rounds: int, speeds: Sequence[int]) -> bool:
    """Measure and print; the fake at each of `speeds` (tokens per second, 0 for as fast as it can)."""
    for name in names:
        for speed in speeds if name.startswith("fake-") else (None,):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                chosen = programs.program(name, folder)
                if speed is not None:
                    chosen = programs.at_speed(chosen, tokens_per_second=speed)
                title = name if speed is None else f"{name} at {speed or 'unbounded'} tokens/s"
                say(f"{title}: {rounds} rounds")
                with programs.serving(chosen, folder) as running:
                    alone, ours = _measure(chosen, running, rounds)
            _print(title, alone, ours)
    return True


def _measure(chosen: Program, running: Runner, rounds: int) -> tuple[Side, Side]:
    url = programs.engine_url(running)
    tokens = _FAKE_TOKENS if chosen.fake else _REAL_TOKENS
    body: dict[str, Any] = {"messages": [{"role": "user", "content": _PROMPT}], "temperature": 0, "stream": True}
    body |= {"max_tokens": tokens, "stream_options": {"include_usage": True}}
    direct = body | {"model": programs.engine_model(running)}
    alone = Side(lambda: stream(url, {}, direct), [], [])
    ours = Side(lambda: stream(running.url, {ENGINE_TOKEN: TOKEN}, body | {"model": MODEL}), [], [])
    shimmy = programs.engine(running)
    for _ in range(_WARM_UP):
        alone.ask()
        ours.ask()
    for index in range(rounds):
        for side in (alone, ours) if index % 2 else (ours, alone):
            process = shimmy if side is alone else running.process.pid
            before = cpu_seconds(process)
            timing = side.ask()
            side.timings.append(timing)
            side.cpu.append(cpu_seconds(process) - before)
    if programs.engine(running) != shimmy:
        raise RuntimeError("Shimmy was restarted during the measurement")
    return alone, ours


def _print(title: str, alone: Side, ours: Side) -> None:
    print(f"\n{title}: {len(ours.timings)} interleaved rounds; {load_average()}")
    print(f"  {'milliseconds':26} {'alone p50':>10} {'p95':>9} {'runner p50':>11} {'p95':>9} {'added':>9} {'ratio':>7}")
    _row("first byte", alone, ours, lambda timing: timing.first_byte)
    _row("first text", alone, ours, lambda timing: timing.first_text)
    _row("per token, mean of answer", alone, ours, lambda timing: timing.per_token)
    _row("whole answer, by token", alone, ours, lambda timing: timing.whole_per_token)
    floor, gaps = ([gap for timing in side.timings for gap in timing.gaps] for side in (alone, ours))
    print(f"  {'single gap':26} {_pair(floor, 10)} {_pair(gaps, 11)}")
    alone_cpu, our_cpu = _cpu(alone), _cpu(ours)
    ratio = f"{our_cpu / alone_cpu:.2f}" if alone_cpu else "too little to say"
    print(
        f"  CPU seconds per 1,000 tokens: Shimmy alone {alone_cpu:.3f}, the runner's own {our_cpu:.3f}; ratio {ratio}"
    )


def _cpu(side: Side) -> float:
    return 1000 * sum(side.cpu) / sum(len(timing.arrivals) for timing in side.timings)


def _row(name: str, alone: Side, ours: Side, value: Callable[[Timing], float]) -> None:
    """Medians and p95 of each side; of the differences and ratios within each round, the medians."""
    floor, mine = ([value(timing) for timing in side.timings] for side in (alone, ours))
    added = statistics.median(b - a for a, b in zip(floor, mine, strict=True)) * 1000
    ratio = statistics.median(b / a for a, b in zip(floor, mine, strict=True))
    print(f"  {name:26} {_pair(floor, 10)} {_pair(mine, 11)} {added:+9.3f} {ratio:7.2f}")


def _pair(values: Sequence[float], width: int) -> str:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"{statistics.median(ordered) * 1000:{width}.3f} {p95 * 1000:9.3f}"
