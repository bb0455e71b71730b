"""Starts runners and bare Shimmy processes, real or fake, and talks to them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_engine.sse import SseDecoder

FAKE = REPOSITORY / "tests" / "fakes" / "shimmy" / "shimmy"
TOKEN = "engine-token-0123456789"
START = 60.0
"""Seconds within which any of them is ready, software Vulkan included."""


@dataclass(frozen=True)
class Program:
    """A Shimmy to test against."""

    line: str
    binary: Path
    model: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def fake(self) -> bool:
        return self.binary == FAKE

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"SHIMMY_FAKE_LINE": self.line} | self.environment


class Runner:
    """A `shimmy-engine serve` in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self._read: list[dict[str, Any]] = []
        """Records of the journal that were acknowledged."""
        found = until(lambda: re.search(r"listening on \S+:(\d+)", self.log), "the runner's port", seconds=START)
        self.url = f"http://127.0.0.1:{found[1]}"
        self.client = httpx.Client(
            base_url=self.url, headers={"x-shimmy-engine-token": TOKEN}, timeout=START, trust_env=False
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ready(self) -> bool:
        return self.client.get("/readyz").is_success

    def chat(self, text: str, **options: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text}], "model": "m"} | options
        return self.client.post("/v1/chat/completions", json=body)

    def usage(self) -> list[dict[str, Any]]:
        """All records of the journal so far. Full pages are acknowledged: there is no other way to the next one."""
        while True:
            acknowledged = self._read[-1]["seq"] if self._read else 0
            page = self.client.get("/internal/journal", params={"ack": acknowledged}).json()
            if not page["remaining"]:
                return [*self._read, *page["records"]]
            self._read += page["records"]

    def settled(self) -> int:
        """Number of records, once the engine is idle: a stop string ends the answer before the generation."""
        until(lambda: self.metric("shimmy_engine_requests_in_flight") == 0, "an idle engine", seconds=START)
        return len(self.usage())

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def engine_pid(self) -> int:
        """Process id of the Shimmy that runs now."""
        return int(re.findall(r"started shimmy, process (\d+)", self.log)[-1])

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def runner(program: Program, folder: Path, *options: str, ready: bool = True) -> Iterator[Runner]:
    """A runner that is stopped at the end, whatever happens. It serves the program's model as `m`."""
    model = ("--model-name", "m", "--model-file", str(program.model))
    with runner_of(program, folder, *model, *options, ready=ready) as running:
        yield running


@contextmanager
def runner_of(program: Program, folder: Path, *options: str, ready: bool = True) -> Iterator[Runner]:
    """The same for models that the options name."""
    folder.mkdir(parents=True, exist_ok=True)
    token, log = folder / "token", folder / "log"
    token.write_text(TOKEN + "\n")
    command = [sys.executable, "-m", "shimmy_engine", "serve", "--model-namespace", "ns"]
    command += ["--shimmy-binary", str(program.binary)]
    command += ["--token-file", str(token), "--state", str(folder / "state"), "--host", "127.0.0.1", "--port", "0"]
    command += ["--pod", "m-0", "--accept-seconds", "0.3", "--grace-seconds", "3", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=program.env, stdout=output, stderr=output)
    try:
        started = Runner(process, log)
        with started.client:
            if ready:
                until(started.ready, "the engine", seconds=START)
            yield started
            process.terminate()
            with suppress(httpx.TransportError):
                started.client.get("/internal/journal", params={"ack": 10**9})  # else the drain waits for it
    finally:
        _end(process, log)


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    """Stop a runner, and its Shimmy where the runner was killed and could not."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode:
        for pid in re.findall(r"started shimmy, process (\d+)", log.read_text())[-1:]:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


class OpenStream:
    """A streamed chat of which the first bytes have come."""

    def __init__(self, running: Runner, *, max_tokens: int, model: str = "m") -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "go on"}], "max_tokens": max_tokens}
        self._client = httpx.Client(timeout=START, headers=running.client.headers, trust_env=False)
        request = self._client.build_request("POST", f"{running.url}/v1/chat/completions", json=body | {"stream": True})
        self._response = self._client.send(request, stream=True)
        self.chunks = self._response.iter_raw()
        self.start = next(self.chunks)

    def rest(self) -> bytes:
        """Everything up to the end."""
        return b"".join(self.chunks)

    def close(self) -> None:
        """Leave."""
        self._response.close()
        self._client.close()

    def __enter__(self) -> "OpenStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def shimmy(program: Program, folder: Path) -> Iterator[httpx.Client]:
    """A bare Shimmy process, and a client of it."""
    with shimmy_process(program, folder) as (client, _):
        yield client


@contextmanager
def shimmy_process(program: Program, folder: Path, port: int | None = None) -> Iterator[tuple[httpx.Client, int]]:
    """The same, with its process id."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [str(program.binary), "serve", "--bind", f"127.0.0.1:{port}", "--model-path", str(program.model)]
    env = program.env | {"HOME": str(folder), "RUST_LOG": "error"}
    with (folder / "shimmy.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=START, trust_env=False) as client:
        try:
            until(lambda: _listens(client), "shimmy", seconds=START)
            yield client, process.pid
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def events(body: bytes) -> list[Any]:
    """Data of a stream's events, parsed where it is JSON."""
    return [json.loads(data) if data.startswith("{") else data for data in SseDecoder().feed(body)]


def _listens(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False
