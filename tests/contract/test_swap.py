"""A slot changes its model without losing a request, and keeps the old one where the new one does not come up."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract.running import TOKEN, OpenStream, Program, Runner, runner_of
from tests.fakes.shimmy import toy_gguf

from devkit.waiting import until

WAIT = 30.0
SLOW = {"SHIMMY_FAKE_TOKENS_PER_SECOND": "20", "SHIMMY_FAKE_ANSWER_TOKENS": "1000"}


class Slot:
    """A runner with a catalogue, and its private interface."""

    def __init__(self, running: Runner) -> None:
        self.running = running
        found = until(lambda: re.search(r"private interface on \S+:(\d+)", running.log), "its port", seconds=WAIT)
        self.admin = httpx.Client(
            base_url=f"http://127.0.0.1:{found[1]}",
            headers={"x-shimmy-engine-token": TOKEN},
            timeout=WAIT,
            trust_env=False,
        )

    def load(self, model: str) -> httpx.Response:
        return self.admin.post("/admin/load", json={"model": model})

    def chat(self, model: str, **options: Any) -> httpx.Response:
        return self.running.chat("hello", model=model, **options)


@contextmanager
def slot(program: Program, folder: Path, *options: str) -> Iterator[Slot]:
    """Models a (served first) and b, one whose file is damaged, and one whose answers are garbage."""
    folder.mkdir(exist_ok=True)
    for name in ("a", "b"):
        if not (folder / f"{name}.gguf").exists():
            (folder / f"{name}.gguf").symlink_to(program.model)
    (folder / "broken.gguf").write_bytes(b"GGUF")
    (folder / "mute.gguf").symlink_to(toy_gguf.write(folder / "garbage.gguf"))
    catalogue = folder / "models.json"
    models = [{"name": name, "file": str(folder / f"{name}.gguf")} for name in ("a", "b", "broken", "mute")]
    catalogue.write_text(json.dumps({"models": models}))
    arguments = ["--models", str(catalogue), "--admin-port", "0", *options]
    with runner_of(program, folder / "run", *arguments) as running:
        started = Slot(running)
        with started.admin:
            yield started


def queued(at: Slot, count: int) -> bool:
    return at.running.metric("shimmy_engine_requests_queued") == count


def test_after_a_swap_the_other_model_answers_and_the_first_is_refused(fake: Program, tmp_path: Path) -> None:
    with slot(fake, tmp_path) as at:
        assert at.chat("a", max_tokens=4).headers["x-shimmy-model"] == "a"
        refused = at.chat("b")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_not_loaded")
        assert "'a'" in refused.json()["error"]["message"]
        told = at.load("b").json()
        assert (told["model"], told["previous"]) == ("b", "a")
        assert told["seconds"] > 0
        assert at.chat("b", max_tokens=4).headers["x-shimmy-model"] == "b"
        assert at.chat("a").json()["error"]["code"] == "model_not_loaded"
        assert [record["model"] for record in at.running.usage()] == ["a", "b"]
        assert at.running.metric('shimmy_engine_swaps_total{result="swapped"}') == 1
        assert at.running.metric("shimmy_engine_swap_seconds_sum") == pytest.approx(told["seconds"], abs=0.01)


def test_what_runs_is_finished_what_waits_for_the_new_model_held_and_the_rest_sent_away(
    fake: Program, tmp_path: Path
) -> None:
    with slot(replace(fake, environment=SLOW), tmp_path) as at, ThreadPoolExecutor(4) as pool:
        running = OpenStream(at.running, max_tokens=40, model="a")
        waiting = pool.submit(at.chat, "a", max_tokens=2)
        until(lambda: queued(at, 1), "a request that waits", seconds=WAIT)
        swap = pool.submit(at.load, "b")
        assert waiting.result(WAIT).json()["error"]["code"] == "model_not_loaded"
        held: Future[httpx.Response] = pool.submit(at.chat, "b", max_tokens=2)
        until(lambda: queued(at, 2), "a request that is held", seconds=WAIT)
        assert "loading b" in at.running.client.get("/readyz").text
        with running:
            assert running.rest().endswith(b"data: [DONE]\n\n")
        assert swap.result(WAIT).status_code == 200
        assert held.result(WAIT).headers["x-shimmy-model"] == "b"
        assert at.running.ready()


def test_a_model_that_cannot_be_served_changes_nothing(fake: Program, tmp_path: Path) -> None:
    with slot(fake, tmp_path) as at:
        before = at.running.engine_pid()
        for model, status, code in (("broken", 409, "model_unusable"), ("none", 404, "model_not_found")):
            refused = at.load(model)
            assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
        assert at.load("a").json()["seconds"] == 0
        assert at.chat("a").status_code == 200
        assert at.running.engine_pid() == before


def test_where_the_new_model_gives_no_answer_the_old_one_comes_back(fake: Program, tmp_path: Path) -> None:
    with slot(fake, tmp_path) as at:
        failed = at.load("mute")
        assert (failed.status_code, failed.json()["error"]["code"]) == (502, "swap_failed")
        assert at.chat("a").status_code == 200
        assert at.running.metric('shimmy_engine_swaps_total{result="failed"}') == 1


def test_a_request_may_bring_its_model_in(program: Program, tmp_path: Path) -> None:
    with slot(program, tmp_path, "--on-demand") as at:
        for model in ("b", "a"):
            answer = at.chat(model, max_tokens=2)
            assert (answer.status_code, answer.headers["x-shimmy-model"]) == (200, model)
        assert at.chat("none").json()["error"]["code"] == "model_not_found"
        assert at.chat("mute").json()["error"]["code"] == "model_unavailable"
        assert at.chat("a", max_tokens=2).status_code == 200


def test_requests_for_two_models_are_all_answered_with_few_changes(fake: Program, tmp_path: Path) -> None:
    with slot(fake, tmp_path, "--on-demand") as at, ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(at.chat, model, max_tokens=1) for model in "ababababab"]
        answers = [future.result(WAIT) for future in asked]
        assert [answer.headers["x-shimmy-model"] for answer in answers] == list("ababababab")
        assert {answer.status_code for answer in answers} == {200}
        assert at.running.metric('shimmy_engine_swaps_total{result="swapped"}') <= 3


def test_ollamas_request_to_load_a_model_brings_it_in(fake: Program, tmp_path: Path) -> None:
    with slot(fake, tmp_path, "--on-demand") as at:
        answer = at.running.client.post("/api/generate", json={"model": "b", "stream": False})
        assert (answer.json()["done_reason"], answer.headers["x-shimmy-model"]) == ("load", "b")
        assert [model["name"] for model in at.running.client.get("/api/ps").json()["models"]] == ["b"]
        assert at.running.usage() == []


def test_a_client_that_leaves_in_a_change_leaves_the_slot_in_order(fake: Program, tmp_path: Path) -> None:
    slow_start = replace(fake, environment={"SHIMMY_FAKE_START_SECONDS": "1"})
    with slot(slow_start, tmp_path, "--on-demand") as at:
        body = {"model": "b", "messages": [{"role": "user", "content": "hi"}]}
        with pytest.raises(httpx.ReadTimeout):
            at.running.client.post("/v1/chat/completions", json=body, timeout=0.3)
        assert at.chat("b", max_tokens=1).status_code == 200
        assert len(at.running.usage()) == 1


def test_only_who_knows_the_token_may_change_the_model(fake: Program, tmp_path: Path) -> None:
    with slot(fake, tmp_path) as at:
        stranger = at.admin.post("/admin/load", json={"model": "b"}, headers={"x-shimmy-engine-token": "x"})
        assert stranger.status_code == 403
        assert at.admin.post("/admin/load", json={"name": "b"}).status_code == 400
        assert at.admin.get("/admin/models").json() == {
            "models": ["a", "b", "broken", "mute"],
            "model": "a",
            "loading": None,
            "ready": True,
        }
        assert at.running.client.post("/admin/load", json={"model": "b"}).status_code == 404
