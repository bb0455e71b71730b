"""Who is served when several tenants ask at once, and what the runner says of its queue. Against the fake."""

import json
import os
import signal
import statistics
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract import h2c
from tests.contract.running import FAKE, TOKEN, OpenStream, Program, Runner, runner

from devkit.waiting import until

TRUSTED = {"x-shimmy-engine-token": TOKEN}
TURN = {"SHIMMY_FAKE_TOKENS_PER_SECOND": "50"}
ASK = {"model": "m", "messages": [{"role": "user", "content": "go on"}], "max_tokens": 4}
"""An answer of 80 ms."""


@pytest.fixture
def llama(toy: Path) -> Program:
    return Program("llama", FAKE, toy)


def ask(running: Runner, client: httpx.Client, tenant: str) -> httpx.Response:
    return client.post(f"{running.url}/v1/chat/completions", json=ASK, headers=TRUSTED | {"x-shimmy-tenant": tenant})


def test_a_tenant_that_floods_the_runner_delays_another_by_one_answer_at_most(llama: Program, tmp_path: Path) -> None:
    finished, waits = threading.Event(), list[float]()

    def flood(running: Runner) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not finished.is_set():
                ask(running, client, "loud")

    with (
        runner(replace(llama, environment=TURN), tmp_path, "--queue", "8") as running,
        ThreadPoolExecutor(12) as pool,
        httpx.Client(timeout=30, trust_env=False) as client,
    ):
        for _ in range(12):
            pool.submit(flood, running)
        try:
            until(lambda: running.metric("shimmy_engine_requests_queued") == 8, "a full queue", seconds=20)
            for _ in range(20):
                response = ask(running, client, "calm")
                assert response.status_code == 200
                waits.append(float(response.headers["x-shimmy-queue-seconds"]))
        finally:
            finished.set()
        turns = [record["seconds"] for record in running.usage() if record["tenant"] == "loud"]
    # Alone it would not wait at all. A tenth is for the clocks: a turn is longer than the generation in it.
    assert statistics.median(waits) <= 1.1 * statistics.median(turns)
    assert len(turns) > len(waits) / 2


def over_http1(running: Runner) -> Generator[bytes, None, None]:
    with httpx.stream("GET", f"{running.url}/internal/load", headers=TRUSTED, timeout=30, trust_env=False) as response:
        assert response.status_code == 200
        yield from (line.encode() for line in response.iter_lines())


def over_http2(running: Runner) -> Generator[bytes, None, None]:
    return h2c.lines(f"{running.url}/internal/load", TRUSTED)


OVER = pytest.mark.parametrize("over", [over_http1, over_http2], ids=["HTTP/1.1", "HTTP/2"])
Over = Callable[[Runner], Generator[bytes, None, None]]


def load(line: bytes) -> Any:
    return json.loads(line)


@OVER
def test_the_load_is_told_as_it_changes_until_the_runner_drains(llama: Program, tmp_path: Path, over: Over) -> None:
    slow = replace(llama, environment={"SHIMMY_FAKE_TOKENS_PER_SECOND": "20", "SHIMMY_FAKE_ANSWER_TOKENS": "1000"})
    with runner(slow, tmp_path) as running, closing(over(running)) as lines:
        assert load(next(lines)) == {"inFlight": 0, "queued": 0}
        with OpenStream(running, max_tokens=900):
            assert load(next(lines)) == {"inFlight": 1, "queued": 0}
        assert load(next(lines)) == {"inFlight": 0, "queued": 0}
        running.terminate()
        assert list(lines) == []
        assert running.process.wait(20) == 0


def test_an_engine_that_is_down_for_the_moment_is_told(llama: Program, tmp_path: Path) -> None:
    with runner(llama, tmp_path) as running, closing(over_http1(running)) as lines:
        assert load(next(lines)) == {"inFlight": 0, "queued": 0}
        os.kill(running.engine_pid(), signal.SIGKILL)
        assert load(next(lines)) == {"inFlight": 0, "queued": 0, "ready": False}
        assert load(next(lines)) == {"inFlight": 0, "queued": 0}


@pytest.mark.parametrize(("attempt", "answer", "status"), [("1", 200, 503), ("4", 204, 200)], ids=["early", "last"])
def test_a_request_that_waits_is_sent_to_an_idle_pod_while_the_router_tries_again(
    llama: Program, tmp_path: Path, attempt: str, answer: int, status: int
) -> None:
    slow = replace(llama, environment={"SHIMMY_FAKE_TOKENS_PER_SECOND": "20", "SHIMMY_FAKE_ANSWER_TOKENS": "1000"})
    with runner(slow, tmp_path) as running, ThreadPoolExecutor(1) as pool, OpenStream(running, max_tokens=900) as busy:
        url, attempts = f"{running.url}/v1/chat/completions", TRUSTED | {"x-envoy-attempt-count": attempt}
        waiting = pool.submit(httpx.post, url, json=ASK, headers=attempts, timeout=30, trust_env=False)
        until(lambda: running.metric("shimmy_engine_requests_queued") == 1, "a request that waits", seconds=20)
        release = {"model": "m", "to": "192.0.2.1:8080"}
        assert running.client.post("/internal/release", params=release).status_code == answer
        if status == 200:
            busy.close()
        assert waiting.result(20).status_code == status
        assert httpx.post(f"{running.url}/internal/release", params=release, trust_env=False).status_code == 403


def test_strangers_are_not_told(llama: Program, tmp_path: Path) -> None:
    with runner(llama, tmp_path) as running:
        assert httpx.get(f"{running.url}/internal/load", trust_env=False).status_code == httpx.codes.FORBIDDEN
