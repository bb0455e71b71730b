"""What processes hold while a load runs: memory, file descriptors, files; and whether it grows."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.contract.running import Runner

from devkit.bench.engine.programs import engine
from devkit.bench.procfs import open_files, resident_mib


@dataclass(frozen=True, slots=True)
class Holding:
    """What runner and Shimmy hold at a moment."""

    requests: int
    """Attempts that had come to their end."""
    runner_mib: float
    shimmy_mib: float
    runner_files: int
    """Open file descriptors, connections included."""
    shimmy_files: int
    state_files: int
    """Files in the runner's writable folder."""
    state_kib: float


def holding(running: Runner, folder: Path, requests: int) -> Holding:
    """Look now."""
    runner, shimmy = running.process.pid, engine(running)
    files = [path for path in (folder / "state").rglob("*") if path.is_file() and not path.is_symlink()]
    return Holding(
        requests=requests,
        runner_mib=resident_mib(runner),
        shimmy_mib=resident_mib(shimmy),
        runner_files=open_files(runner),
        shimmy_files=open_files(shimmy),
        state_files=len(files),
        state_kib=sum(path.stat().st_size for path in files) / 1024,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Growth of the second value per unit of the first, by least squares; 0 where there are too few points."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def load_average() -> str:
    """For the reader of the figures: what else ran on the machine."""
    one, five, _ = os.getloadavg()
    usable = len(os.sched_getaffinity(0))
    return f"load average {one:.2f} (1 min), {five:.2f} (5 min); {usable} of {os.cpu_count()} CPUs used"
