"""What the runner does with connections. Against the fake."""

from pathlib import Path

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, Program, runner

from devkit.bench.procfs import open_files
from devkit.waiting import until


@pytest.mark.parametrize("path", ["/healthz", "/v1/models"])
def test_connections_that_clients_close_are_closed_at_once(toy: Path, tmp_path: Path, path: str) -> None:
    with runner(Program("llama", FAKE, toy), tmp_path) as running:
        before = open_files(running.process.pid)
        for _ in range(20):
            httpx.get(f"{running.url}{path}", headers={"x-shimmy-engine-token": TOKEN}, trust_env=False)
        until(lambda: open_files(running.process.pid) <= before, "the end of the connections", seconds=10)
