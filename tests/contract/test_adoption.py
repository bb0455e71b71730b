"""A runner in front of a Shimmy that somebody else has started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.running import Program, runner_of, shimmy, shimmy_process

from devkit.waiting import until

WAIT = 30.0


def adopting(program: Program, url: str) -> tuple[str, ...]:
    return ("--model-name", "m", "--model-file", str(program.model), "--adopt", url)


def test_a_server_that_runs_answers_through_the_runner_and_outlives_it(program: Program, tmp_path: Path) -> None:
    with shimmy(program, tmp_path / "shimmy") as server:
        with runner_of(program, tmp_path / "runner", *adopting(program, str(server.base_url))) as running:
            answer = running.chat("hello", max_tokens=3, temperature=0).json()
            assert answer["usage"]["completion_tokens"] <= 3
            assert answer["usage"]["prompt_tokens"] > 0
            assert running.usage()[0]["outcome"] == "completed"
        assert server.get("/health").is_success


def test_a_server_that_goes_away_makes_the_runner_unready_until_one_is_back(fake: Program, tmp_path: Path) -> None:
    with shimmy_process(fake, tmp_path / "first") as (server, pid):
        url, port = str(server.base_url), server.base_url.port
        with runner_of(fake, tmp_path / "runner", *adopting(fake, url)) as running:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not running.ready(), "the end of readiness", seconds=WAIT)
            assert running.client.get("/healthz").is_success
            with shimmy_process(fake, tmp_path / "second", port=port):
                until(running.ready, "the second server", seconds=WAIT)
                assert running.chat("hello").status_code == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_where_no_shimmy_runs_the_runner_says_so(toy: Path, tmp_path: Path, url: str) -> None:
    command = [sys.executable, "-m", "shimmy_engine", "serve", "--model-name", "m", "--model-file", str(toy)]
    command += ["--state", str(tmp_path), "--adopt", url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert ended.returncode == 1
    assert f"no Shimmy answers at {url}" in ended.stderr
