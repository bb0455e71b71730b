"""Envoy and agent as processes of their own."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit.bench.fleet.client import Client
from devkit.bench.fleet.objects import HOST
from devkit.ports import free

_PAUSE_SECONDS: Final = 0.001
_LONGEST: Final = 120.0


@dataclass(frozen=True, slots=True)
class Plane:
    """A router that runs."""

    port: int
    envoy: int
    agent: int
    """Process ids."""
    started: float
    """When, on the monotonic clock."""


@contextmanager
def plane(folder: Path, kubeconfig: Path, *options: str) -> Iterator[Plane]:
    """A router without a saved snapshot, for the cluster that the kubeconfig names; the options are the agent's."""
    port, metrics = free(2)
    run = folder / "run"
    run.mkdir()
    program = [sys.executable, "-m", "shimmy_router"]
    subprocess.run([*program, "bootstrap", "--run", str(run), "--address", HOST, "--port", str(port)], check=True)
    agent = [*program, "agent", "--run", str(run), "--kubeconfig", str(kubeconfig), "--host", HOST]
    envoy = ["envoy", "-c", str(run / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id"]
    started = time.monotonic()
    with (
        _process(
            [*agent, "--metrics-port", str(metrics), "--debug-port", "0", *options], folder / "agent.log"
        ) as agent_id,
        _process([*envoy, "--log-level", "warning"], folder / "envoy.log") as envoy_id,
    ):
        yield Plane(port, envoy_id, agent_id, started)


async def becomes(client: Client, key: str, model: str, status: int) -> float:
    """Seconds until this request is answered so.

    Raises:
        TimeoutError: it is not.
    """
    begin = time.monotonic()
    while (found := await client.chat(key, model)) != status:
        if time.monotonic() - begin > _LONGEST:
            raise TimeoutError(f"the answer is still {found} and not {status}")
        await asyncio.sleep(_PAUSE_SECONDS)
    return time.monotonic() - begin


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[int]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process.pid
        finally:
            process.terminate()
