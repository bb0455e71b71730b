"""What the runner does with connections. Against the fake."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, OpenStream, Program, runner

from devkit.bench.procfs import open_files
from devkit.waiting import until


@pytest.mark.parametrize("path", ["/healthz", "/v1/models"])
def test_connections_that_clients_close_are_closed_at_once(toy: Path, tmp_path: Path, path: str) -> None:
    with runner(Program("llama", FAKE, toy), tmp_path) as running:
        before = open_files(running.process.pid)
        for _ in range(20):
            httpx.get(f"{running.url}{path}", headers={"x-shimmy-engine-token": TOKEN}, trust_env=False)
        until(lambda: open_files(running.process.pid) <= before, "the end of the connections", seconds=10)


def test_answers_that_clients_leave_cost_no_connection_to_shimmy(fake: Program, tmp_path: Path) -> None:
    with runner(replace(fake, environment={"SHIMMY_FAKE_TOKENS_PER_SECOND": "300"}), tmp_path) as running:
        before = open_files(running.engine_pid())
        for _ in range(40):
            OpenStream(running, max_tokens=16).close()
        assert running.chat("hello").status_code == 200
        assert open_files(running.engine_pid()) <= before + 2, "one connection for answers, one to cancel them"
