"""How the runner behaves when Shimmy fails, when clients leave and when the pod ends. Against the fake of each line."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.contract.running import FAKE, OpenStream, Program, Runner, events, runner

from devkit.waiting import until

LONG = {"model": "m", "messages": [{"role": "user", "content": "go on"}], "max_tokens": 900}
SLOW = {"SHIMMY_FAKE_TOKENS_PER_SECOND": "50", "SHIMMY_FAKE_ANSWER_TOKENS": "1000"}
WAIT = 15.0


def slow(program: Program) -> Program:
    return replace(program, environment=SLOW)


def upstream(program: Program, **environment: str) -> Program:
    """The same line as the registry has it, which goes on after its client has left."""
    return replace(program, environment=SLOW | {"SHIMMY_FAKE_BUILD": "upstream"} | environment)


def wait_records(running: Runner, count: int) -> list[dict[str, Any]]:
    def enough() -> list[dict[str, Any]] | None:
        records = running.usage()
        return records if len(records) >= count else None

    return until(enough, f"{count} usage records", seconds=WAIT)


@pytest.mark.parametrize("fault", ["crash", "drop"])
def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_and_comes_back(
    fake: Program, tmp_path: Path, fault: str
) -> None:
    with runner(fake, tmp_path) as running:
        streamed = events(running.chat(f"[[{fault}]]", stream=True).content)
        assert streamed[-1]["error"]["code"] == "engine_failed"
        assert "[DONE]" not in streamed
        assert running.chat("hello").status_code == 200
        failed, completed = running.usage()
        assert (failed["outcome"], completed["outcome"]) == ("failed", "completed")
        assert failed["completionTokens"] == 3


def test_an_engine_that_is_killed_while_a_stream_runs_comes_back(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path) as running:
        with OpenStream(running, max_tokens=500) as stream:
            os.kill(running.engine_pid(), signal.SIGKILL)
            assert b"engine_failed" in stream.rest()
        assert running.chat("hello", max_tokens=2).status_code == 200
        assert running.metric("shimmy_engine_restarts") == 1


def test_a_failure_before_the_first_text_is_a_502(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path) as running:
        response = running.chat("[[crash]] [[tokens=0]]", stream=True)
        assert (response.status_code, response.json()["error"]["code"]) == (502, "engine_failed")
        assert response.headers["retry-after"] == "1"


def test_a_poisoned_engine_is_replaced_after_one_failed_request(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path) as running:
        before = running.engine_pid()
        running.chat("[[poison]]")
        answer = running.chat("hello")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"]
        assert running.engine_pid() != before


def test_a_single_failed_request_costs_no_restart(tmp_path: Path, toy: Path) -> None:
    airframe = Program("airframe", Path(__file__).parents[1] / "fakes/shimmy/shimmy", toy)
    with runner(airframe, tmp_path) as running:
        assert running.chat("[[fail]]").status_code == 502
        assert running.chat("hello").status_code == 200
        assert running.metric("shimmy_engine_restarts") == 0


def test_an_engine_that_hangs_is_replaced(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path, "--stall-seconds", "1") as running:
        streamed = events(running.chat("[[hang]]", stream=True).content)
        assert streamed[-1]["error"]["code"] == "engine_failed"
        assert running.chat("hello").status_code == 200


def test_an_engine_that_never_answers_fails_liveness_in_the_end(fake: Program, tmp_path: Path) -> None:
    broken = replace(fake, environment={"SHIMMY_FAKE_FAULT": "garbage"})
    with runner(broken, tmp_path, ready=False) as running:
        assert running.client.get("/healthz").status_code == 200
        until(lambda: running.client.get("/healthz").status_code == 503, "failing liveness", seconds=WAIT)
        assert "unreadable" in running.client.get("/readyz").text
        assert running.chat("hello").json()["error"]["code"] == "model_unavailable"


def test_a_slow_start_is_alive_but_not_ready(fake: Program, tmp_path: Path) -> None:
    with runner(replace(fake, environment={"SHIMMY_FAKE_START_SECONDS": "1"}), tmp_path, ready=False) as running:
        assert running.client.get("/readyz").status_code == 503
        assert running.client.get("/healthz").status_code == 200
        assert running.chat("hello").status_code == 200, "a request waits for an engine that starts"


def test_requests_wait_in_line_and_past_the_bound_are_refused(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path, "--queue", "2") as running, ThreadPoolExecutor(8) as pool:
        with OpenStream(running, max_tokens=40) as stream:
            waiting = [pool.submit(running.chat, "hello", max_tokens=2) for _ in range(2)]
            until(lambda: running.metric("shimmy_engine_requests_queued") == 2, "a full queue", seconds=WAIT)
            refused = running.chat("hello")
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
            assert refused.headers["retry-after"] == "1"
            stream.rest()
        answers = [future.result(WAIT) for future in waiting]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert all(float(answer.headers["x-shimmy-queue-seconds"]) > 0.1 for answer in answers)
        assert running.metric("shimmy_engine_requests_queued") == 0


def test_a_client_that_leaves_while_it_waits_costs_nothing(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path) as running:
        with OpenStream(running, max_tokens=50) as stream:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(
                    f"{running.url}/v1/chat/completions",
                    json={"model": "m", "messages": [{"role": "user", "content": "never mind"}]},
                    headers=running.client.headers,
                    timeout=0.3,
                    trust_env=False,
                )
            until(lambda: running.metric("shimmy_engine_requests_queued") == 0, "an empty queue", seconds=WAIT)
            stream.rest()
        running.chat("hello", max_tokens=1)
        assert len(running.usage()) == 2


def test_a_client_that_leaves_a_stream_ends_the_generation_at_once(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path) as running:
        OpenStream(running, max_tokens=900).close()
        (record,) = wait_records(running, 1)
        assert record["outcome"] == "cancelled"
        assert 1 <= record["completionTokens"] < 100
        assert running.chat("hello", max_tokens=1).status_code == 200
        assert running.metric("shimmy_engine_restarts") == 0
        assert running.metric('shimmy_engine_abandoned_total{way="cancelled"}') == 1


def test_where_the_build_cannot_end_it_a_short_rest_is_waited_out(tmp_path: Path, toy: Path) -> None:
    airframe = upstream(Program("airframe", FAKE, toy), SHIMMY_FAKE_START_SECONDS="3")
    with runner(airframe, tmp_path) as running:
        OpenStream(running, max_tokens=30).close()
        (record,) = wait_records(running, 1)
        assert (record["outcome"], record["completionTokens"]) == ("cancelled", 30)
        assert running.metric("shimmy_engine_restarts") == 0
        assert running.metric('shimmy_engine_abandoned_total{way="waited"}') == 1


def test_where_the_build_cannot_end_it_a_long_rest_is_cut_by_a_restart(tmp_path: Path, toy: Path) -> None:
    airframe = upstream(Program("airframe", FAKE, toy), SHIMMY_FAKE_TOKENS_PER_SECOND="5")
    with runner(airframe, tmp_path, "--abandon-seconds", "60") as running:
        with OpenStream(running, max_tokens=200) as stream:
            next(stream.chunks)
            next(stream.chunks)
        assert running.chat("hello", max_tokens=1).status_code == 200
        cancelled = running.usage()[0]
        assert cancelled["outcome"] == "cancelled"
        assert 2 <= cancelled["completionTokens"] < 100
        assert running.metric('shimmy_engine_abandoned_total{way="restarted"}') == 1


def test_an_abandoned_answer_holds_the_engine_for_a_bounded_time(fake: Program, tmp_path: Path) -> None:
    slower = upstream(fake, SHIMMY_FAKE_TOKENS_PER_SECOND="5")
    with runner(slower, tmp_path, "--abandon-seconds", "0.3") as running:
        with pytest.raises(httpx.ReadTimeout):
            running.client.post("/v1/chat/completions", json=LONG | {"max_tokens": 200}, timeout=0.5)
        assert running.chat("hello", max_tokens=1).status_code == 200
        assert running.usage()[0]["outcome"] == "cancelled"


def test_a_request_whose_time_is_over_while_it_runs_is_ended(fake: Program, tmp_path: Path) -> None:
    hurry = {"x-envoy-expected-rq-timeout-ms": "700"}
    with runner(slow(fake), tmp_path) as running:
        streamed = running.client.post("/v1/chat/completions", json=LONG | {"stream": True}, headers=hurry)
        assert events(streamed.content)[-1]["error"]["code"] == "engine_timeout"
        whole = running.client.post("/v1/chat/completions", json=LONG, headers=hurry)
        assert (whole.status_code, whole.json()["error"]["code"]) == (504, "engine_timeout")
        assert running.chat("hello", max_tokens=1).status_code == 200
        assert [record["outcome"] for record in running.usage()] == ["failed", "failed", "completed"]
        assert running.metric("shimmy_engine_restarts") == 0


def test_a_request_whose_time_is_over_while_it_waits_leaves_the_queue(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path) as running, OpenStream(running, max_tokens=900):
        hurry = {"x-envoy-expected-rq-timeout-ms": "200"}
        answer = running.client.post("/v1/chat/completions", json=LONG, headers=hurry)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "engine_timeout")
        assert running.metric("shimmy_engine_requests_queued") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_runner_that_is_killed_leaves_no_shimmy_behind(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path) as running:
        pid = running.engine_pid()
        running.process.kill()
        until(lambda: not psutil.pid_exists(pid), "the end of Shimmy", seconds=WAIT)


def test_an_orphan_of_an_earlier_runner_is_ended(fake: Program, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with subprocess.Popen(["sleep", "60"]) as orphan:
        created = psutil.Process(orphan.pid).create_time()
        (state / "shimmy.pid").write_text(json.dumps({"pid": orphan.pid, "created": created}))
        with runner(fake, tmp_path):
            assert orphan.wait(WAIT) == -signal.SIGKILL


def test_a_silence_in_the_middle_of_an_answer_makes_the_pod_unready(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path, "--quiet-seconds", "0.3") as running, ThreadPoolExecutor(1) as pool:
        pool.submit(running.chat, "[[hang]]", stream=True)
        until(lambda: "silent" in running.client.get("/readyz").text, "the end of readiness", seconds=WAIT)
        assert running.client.get("/healthz").status_code == 200
        running.terminate()
        running.process.wait(WAIT)


def test_a_stop_string_ends_the_answer_before_the_engine_does(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path, "--abandon-seconds", "0.2") as running:
        answer = running.chat("[[say=one two END three four]]", stop="END").json()
        assert answer["choices"][0]["message"]["content"] == "one two "
        endless = running.chat("hello", stop="alpha", max_tokens=900).json()
        assert endless["usage"]["completion_tokens"] <= 12
        assert {record["outcome"] for record in wait_records(running, 2)} == {"completed"}


def test_a_journal_outlives_the_runner(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path) as running:
        running.chat("hello")
        (before,) = running.usage()
        running.process.kill()
    with runner(fake, tmp_path) as running:
        assert running.usage() == [before]


@pytest.mark.parametrize("stream", [True, False])
def test_a_drain_finishes_what_runs_and_waits(fake: Program, tmp_path: Path, stream: bool) -> None:
    with runner(slow(fake), tmp_path, "--grace-seconds", "20") as running, ThreadPoolExecutor(4) as pool:
        first = pool.submit(running.chat, "hello", max_tokens=50, stream=stream)
        until(lambda: running.metric("shimmy_engine_requests_in_flight") == 1, "a running request", seconds=WAIT)
        second = pool.submit(running.chat, "hello", max_tokens=5)
        until(lambda: running.metric("shimmy_engine_requests_queued") == 1, "a waiting request", seconds=WAIT)
        running.terminate()
        until(lambda: not running.ready(), "the end of readiness", seconds=WAIT)
        late = running.chat("hello", max_tokens=1)
        assert late.status_code == 200, "right after SIGTERM requests are still accepted"
        assert first.result(WAIT).status_code == 200
        assert second.result(WAIT).json()["usage"]["completion_tokens"] == 5
        if stream:
            assert events(first.result().content)[-1] == "[DONE]"
        assert running.process.wait(WAIT) == 0


def test_a_drain_refuses_retriably_once_routers_know(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path, "--grace-seconds", "20") as running:
        with OpenStream(running, max_tokens=80) as stream:
            running.terminate()

            def refused() -> httpx.Response | None:
                answer = running.client.post("/v1/chat/completions", content=b"{")  # never waits in line
                return answer if answer.status_code != 400 else None

            answer = until(refused, "a refusal", seconds=WAIT)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
            assert stream.rest().endswith(b"data: [DONE]\n\n")
        assert running.process.wait(WAIT) == 0


def test_a_drain_waits_for_a_meter_that_has_pulled(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path, "--grace-seconds", "20") as running:
        running.chat("hello")
        (record,) = running.usage()
        running.terminate()
        until(lambda: "draining" in running.log, "the drain", seconds=WAIT)
        acknowledged = until(lambda: _acknowledge(running, record["seq"]), "the acknowledgement", seconds=WAIT)
        assert acknowledged.json()["records"] == []
        assert running.process.wait(WAIT) == 0


def test_past_its_grace_time_a_drain_cuts_and_still_keeps_the_accounts(fake: Program, tmp_path: Path) -> None:
    with runner(slow(fake), tmp_path, "--grace-seconds", "1") as running:
        with OpenStream(running, max_tokens=900) as stream:
            running.terminate()
            assert b"engine_failed" in stream.rest()
        assert running.process.wait(WAIT) == 0
    with runner(fake, tmp_path) as running:
        assert [record["outcome"] for record in running.usage()] == ["failed"]


def test_no_prompt_and_no_text_gets_into_the_log(fake: Program, tmp_path: Path) -> None:
    with runner(fake, tmp_path) as running:
        running.chat("a-secret-prompt [[say=a-secret-answer]]")
        running.chat("a-secret-prompt [[crash]]", stream=True)
        running.chat("hello")
        assert "a-secret" not in running.log
        assert "a-secret" not in (tmp_path / "state" / "journal.jsonl").read_text()


def _acknowledge(running: Runner, seq: int) -> httpx.Response:
    return running.client.get("/internal/journal", params={"ack": seq})
