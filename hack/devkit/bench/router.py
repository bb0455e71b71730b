"""`hack/bench router`: what our router costs beside a plain Envoy proxy and other gateways, all before the same stub.

CPU is that of the proxy alone, user and system, per request answered under load from 16 connections.
"""

import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from devkit import packages
from devkit.bench.envoys import BODY, HOST, KEY, Proxy, answers, plain, shimmy, stream_stub, stub
from devkit.bench.peers import litellm, vllm_router
from devkit.bench.procfs import children, cpu_seconds, resident_mib
from devkit.progress import say

PLAIN, OURS, VLLM, LITELLM = "plain Envoy", "Shimmy router", "vllm-router", "LiteLLM"
T = TypeVar("T")
Start = Callable[[Path, int], AbstractContextManager[Proxy]]
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_CONNECTIONS: Final = 16
_FEWEST: Final = 32
"""Requests of a measurement. A proxy that is too slow for them gets more time: each connection's first answer may take
seconds."""
_SCRIPT: Final = """
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
wrk.body = [[{body}]]
"""
_GOALS: Final = (
    ("CPU/request, plain Envoy = 1", PLAIN, "cpu", 1.35),
    ("CPU/request, vllm-router = 1", VLLM, "cpu", 0.75),
    ("CPU/request, LiteLLM = 1", LITELLM, "cpu", 1 / 95),
    ("streamed events/s, plain Envoy = 1", PLAIN, "events", 0.95),
)
"""What, beside whom, which column, and the most of it, or of events the least."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one proxy. Times in seconds."""

    cpu: float
    """Per request."""
    agent: float
    """CPU per request of our agent, which counts them."""
    p50: float
    """Latency from one connection."""
    p99: float
    rate: float
    """Requests per second."""
    memory: float
    """MiB."""


@dataclass(frozen=True, slots=True)
class Events:
    """One measurement of one proxy that passes on streams, each event written by itself."""

    cpu: float
    """Seconds per event."""
    rate: float
    """Events per second."""


class _Load(NamedTuple):
    """What a proxy did, and the seconds of CPU that it and our agent used for that."""

    requests: int
    seconds: int
    cpu: float
    agent: float


def run(rounds: int, seconds: int, events: int, *, peers: bool = False) -> bool:
    """Measure and print; whether all goals are met that were measured. `events` are those of a streamed answer.

    Raises:
        packages.MissingError: wrk is missing.
        RuntimeError: a proxy answered with an error.
    """
    packages.require("the benchmark", [packages.program("wrk", "wrk"), packages.program("curl", "curl")])
    starts: dict[str, Start] = {PLAIN: plain, OURS: shimmy}
    if peers:
        starts |= {VLLM: vllm_router, LITELLM: litellm}
    with tempfile.TemporaryDirectory() as scratch:
        whole = _rounds(Path(scratch), starts, rounds, lambda proxy, script: _whole(proxy, script, seconds))
        streamed = _rounds(
            Path(scratch), starts, rounds, lambda proxy, script: _events(proxy, script, seconds, events), events
        )
    _table(whole, streamed, events)
    return _goals(whole, streamed)


def _rounds(
    scratch: Path,
    starts: Mapping[str, Start],
    rounds: int,
    measure: Callable[[Proxy, Path], T],
    events: int = 0,
) -> dict[str, list[T]]:
    """Each proxy's measurements, of streams if these have events.

    The proxies take turns, in both directions: who comes after whom must not matter.
    """
    stream = events > 0
    folder = scratch / ("stream" if stream else "whole")
    folder.mkdir()
    script = folder / "request.lua"
    script.write_text(_SCRIPT.format(key=KEY, body=json.dumps(BODY | {"stream": stream})), encoding="utf-8")
    found: dict[str, list[T]] = {name: [] for name in starts}
    with ExitStack() as stack:
        upstream = stack.enter_context(stream_stub(folder, events) if stream else stub(folder))
        proxies = {name: stack.enter_context(start(folder, upstream)) for name, start in starts.items()}
        for proxy in proxies.values():
            answers(proxy.port, stream=stream)
        for number in range(rounds):
            for name in sorted(proxies, reverse=bool(number % 2)):
                found[name].append(measure(proxies[name], script))
            say(f"{'streams' if stream else 'requests'}: round {number + 1} of {rounds}")
    return found


def _whole(proxy: Proxy, script: Path, seconds: int) -> Run:
    loaded = _load(proxy, script, seconds)
    _, p50, p99 = _wrk(proxy.port, script, connections=1, seconds=max(1, loaded.seconds // 2))
    memory = resident_mib(proxy.process) + (resident_mib(proxy.agent) if proxy.agent else 0)
    requests = loaded.requests
    return Run(loaded.cpu / requests, loaded.agent / requests, p50, p99, requests / loaded.seconds, memory)


def _events(proxy: Proxy, script: Path, seconds: int, each: int) -> Events:
    loaded = _load(proxy, script, seconds)
    events = loaded.requests * each
    return Events(loaded.cpu / events, events / loaded.seconds)


def _load(proxy: Proxy, script: Path, seconds: int) -> _Load:
    while True:
        cpu, agent = _cpu(proxy.process), _cpu(proxy.agent)
        requests, _, _ = _wrk(proxy.port, script, connections=_CONNECTIONS, seconds=seconds)
        if requests >= _FEWEST:
            return _Load(requests, seconds, _cpu(proxy.process) - cpu, _cpu(proxy.agent) - agent)
        seconds *= 2


def _cpu(process: int | None) -> float:
    """Seconds, those of its children included: LiteLLM has some."""
    if process is None:
        return 0
    return sum(cpu_seconds(each) for each in (process, *children(process)))


def _wrk(port: int, script: Path, *, connections: int, seconds: int) -> tuple[int, float, float]:
    """Requests answered, and median and 99th percentile of the latency in seconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "--latency", "-s", str(script)]
    text = subprocess.run([*command, f"http://{HOST}:{port}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"port {port} answered with errors:\n{text}")
    requests = re.search(r"(\d+) requests in", text)
    shares = [re.search(rf"{share}%\s+([\d.]+)(us|ms|s)\b", text) for share in (50, 99)]
    if not requests or not all(shares):
        raise RuntimeError(f"wrk printed something else than expected:\n{text}")
    median, tail = (float(found[1]) * _UNITS[found[2]] for found in shares if found)
    return int(requests[1]), median, tail


def _table(whole: Mapping[str, Sequence[Run]], streamed: Mapping[str, Sequence[Events]], events: int) -> None:
    print(
        f"{'medians':14} {'CPU us/request':>15} {'agent us/request':>17} {'p50 us':>7} {'p99 us':>7}"
        f" {'requests/s':>11} {'events/s':>9} {'CPU us/event':>13} {'MiB':>5}"
    )
    for name, runs in whole.items():
        middle = {field: statistics.median(getattr(found, field) for found in runs) for field in Run.__slots__}
        agent = f"{middle['agent'] * 1e6:17.1f}" if name == OURS else f"{'-':>17}"
        rate, cpu = (statistics.median(getattr(found, field) for found in streamed[name]) for field in ("rate", "cpu"))
        print(
            f"{name:14} {middle['cpu'] * 1e6:15.1f} {agent} {middle['p50'] * 1e6:7.0f} {middle['p99'] * 1e6:7.0f}"
            f" {middle['rate']:11.0f} {rate:9.0f} {cpu * 1e6:13.2f} {middle['memory']:5.0f}"
        )
    print(f"latencies at 1 connection, rates at {_CONNECTIONS}; {events} events a stream; MiB with the agent's")


def _goals(whole: Mapping[str, Sequence[Run]], events: Mapping[str, Sequence[Events]]) -> bool:
    """Print the ratios: medians of those within each round."""
    met = True
    for what, peer, column, goal in _GOALS:
        if peer not in whole:
            continue
        if column == "events":
            ratio = statistics.median(a.rate / b.rate for a, b in zip(events[OURS], events[peer], strict=True))
            good, sign = ratio >= goal, ">="
        else:
            ratio = statistics.median(a.cpu / b.cpu for a, b in zip(whole[OURS], whole[peer], strict=True))
            good, sign = ratio <= goal, "<="
        met &= good
        print(f"{what:36} {ratio:8.4f}   goal {sign} {goal:.4f}: {'met' if good else 'missed'}")
    return met
