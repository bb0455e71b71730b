"""`hack/bench router`: what our router costs beside a plain Envoy proxy, for one chat request with a JSON answer."""

import json
import re
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit import packages
from devkit.bench.envoys import BODY, HOST, KEY, answers, plain, router, stub
from devkit.bench.procfs import cpu_seconds
from devkit.progress import say

_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_SCRIPT: Final = """
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
wrk.body = [[{body}]]
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one proxy."""

    cpu: float
    """Seconds of CPU of Envoy per request, under load from 16 connections."""
    p50: float
    """Median latency in seconds, from one connection."""
    rate: float
    """Requests per second under load."""


def run(rounds: int, seconds: int) -> None:
    """Measure and print.

    Raises:
        packages.MissingError: wrk is missing.
        RuntimeError: a proxy answered with an error.
    """
    packages.require("the benchmark", [packages.program("wrk", "wrk"), packages.program("curl", "curl")])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        script = folder / "request.lua"
        script.write_text(_SCRIPT.format(key=KEY, body=json.dumps(BODY)), encoding="utf-8")
        with stub(folder) as upstream, plain(folder, upstream) as bare, router(folder, upstream) as ours:
            proxies = {"plain Envoy": bare, "Shimmy router": ours}
            runs: dict[str, list[Run]] = {name: [] for name in proxies}
            for port, _ in proxies.values():
                answers(port)
            for number in range(rounds):
                for name, (port, process) in proxies.items():
                    runs[name].append(_measure(port, process, script, seconds))
                say(f"round {number + 1} of {rounds}")
    _print(runs)


def _measure(port: int, process: int, script: Path, seconds: int) -> Run:
    before = cpu_seconds(process)
    requests, _ = _wrk(port, script, connections=16, seconds=seconds)
    cpu = cpu_seconds(process) - before
    _, p50 = _wrk(port, script, connections=1, seconds=max(1, seconds // 2))
    return Run(cpu / requests, p50, requests / seconds)


def _wrk(port: int, script: Path, *, connections: int, seconds: int) -> tuple[int, float]:
    """Requests answered, and the median latency in seconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    text = subprocess.run([*command, f"http://{HOST}:{port}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"port {port} answered with errors:\n{text}")
    requests = re.search(r"(\d+) requests in", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    if not requests or not median:
        raise RuntimeError(f"wrk printed something else than expected:\n{text}")
    return int(requests[1]), float(median[1]) * _UNITS[median[2]]


def _print(runs: dict[str, list[Run]]) -> None:
    bare, ours = runs.values()
    print(f"{'':15} {'CPU us/request':>15} {'p50 us, 1 conn.':>16} {'requests/s, 16 conn.':>21}")
    for name, found in runs.items():
        cpu, p50, rate = (statistics.median(values) for values in zip(*map(_values, found), strict=True))
        print(f"{name:15} {cpu * 1e6:15.1f} {p50 * 1e6:16.0f} {rate:21.0f}")
    pairs = [
        (mine.cpu / theirs.cpu, mine.p50 / theirs.p50, mine.rate / theirs.rate)
        for mine, theirs in zip(ours, bare, strict=True)
    ]
    cpu, p50, rate = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"{'ratio':15} {cpu:15.2f} {p50:16.2f} {rate:21.2f}   (median of {len(pairs)} interleaved rounds)")


def _values(run: Run) -> tuple[float, float, float]:
    return run.cpu, run.p50, run.rate
