"""The table of quirks, measured: on the real programs, from the registry and built by us, and on the fake."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.contract.running import FAKE, Program, free_port, shimmy_process

from devkit import shimmy_build
from shimmy_engine.quirks import Quirks, release_of
from shimmy_engine.sse import SseDecoder

HELLO = [{"role": "user", "content": "Say hello."}]


@dataclass(frozen=True)
class Subject:
    """A running program, and the row that is to be true of it."""

    program: Program
    quirks: Quirks
    client: httpx.Client
    process: psutil.Process

    @property
    def model(self) -> str:
        return self.program.model.stem

    def chat(self, **options: Any) -> httpx.Response:
        body = {"model": self.model, "messages": HELLO, "max_tokens": 3, "stream": False, "temperature": 0}
        return self.client.post("/v1/chat/completions", json=body | options)

    def text(self, **options: Any) -> str:
        return str(self.chat(**options).json()["choices"][0]["message"]["content"])


SUBJECTS = [
    f"{kind}-{line}-{build}"
    for kind in ("fake", "real")
    for line in ("llama", "airframe")
    for build in ("fleet", "upstream")
]


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    kind, line, build = request.param.split("-")
    environment = {"SHIMMY_FAKE_LINE": line, "SHIMMY_FAKE_BUILD": build, "SHIMMY_FAKE_TOKENS_PER_SECOND": "100"}
    environment["SHIMMY_FAKE_ANSWER_TOKENS"] = "1000"
    if kind == "fake":
        program = Program(line, FAKE, toy, environment)
    else:
        ours: Program = request.getfixturevalue(f"real_{line}")
        name = f"shimmy-{line}" if build == "fleet" else f"shimmy-{line}-upstream"
        program = Program(line, shimmy_build.build(name), ours.model)
    told = subprocess.run([program.binary, "--version"], env=program.env, capture_output=True, text=True, check=True)
    row = release_of(told.stdout).quirks
    assert (row.line, row.build) == (line, build)
    with shimmy_process(program, tmp_path_factory.mktemp(request.param)) as (client, pid):
        yield Subject(program, row, client, psutil.Process(pid))


def test_prompts_are_counted_where_the_table_says_so(subject: Subject) -> None:
    body = {"model": subject.model, "prompt": "Say hello.", "max_tokens": 0, "stream": False}
    answer = subject.client.post("/api/generate", json=body).json()
    assert (answer.get("usage", {}).get("prompt_tokens", 0) > 0) == subject.quirks.counts_prompt


def test_usage_and_finish_reason_are_true_where_the_table_says_so(subject: Subject) -> None:
    answer = subject.chat(max_tokens=3).json()
    told = (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"])
    assert told == ((3, "length") if subject.quirks.reports_usage else (0, "stop"))


def test_a_chat_that_does_not_say_is_streamed_where_the_table_says_so(subject: Subject) -> None:
    body: dict[str, Any] = {"model": subject.model, "messages": HELLO, "max_tokens": 1}
    kind = subject.client.post("/v1/chat/completions", json=body).headers["content-type"]
    assert kind.startswith("text/event-stream") == subject.quirks.chat_streams_by_default


def test_tokens_arrive_as_they_are_made_where_the_table_says_so(subject: Subject) -> None:
    body: dict[str, Any] = {"model": subject.model, "messages": [{"role": "user", "content": "Count to 100."}]}
    body |= {"max_tokens": 48, "stream": True, "temperature": 0}
    decoder, times = SseDecoder(), []
    start = time.monotonic()
    with subject.client.stream("POST", "/v1/chat/completions", json=body) as response:
        for chunk in response.iter_raw():
            times += [time.monotonic() - start for data in decoder.feed(chunk) if '"content":"' in data]
    assert (times[0] < 0.7 * times[-1]) == subject.quirks.streams_tokens


def test_the_temperature_changes_the_answer_where_the_table_says_so(subject: Subject) -> None:
    cold = subject.text(max_tokens=12)
    assert subject.text(max_tokens=12) == cold
    # 2.6 from the registry draws the same for the same request; 1.8 from there draws nothing, but cuts and penalises.
    heats = (1.8, 1.8, 1.8, 1.8) if subject.program.line == "llama" else (1.0, 1.5, 2.0)
    warm = {subject.text(max_tokens=12, temperature=heat) for heat in heats}
    assert (len(warm) > 1) == subject.quirks.samples


def test_the_seed_decides_what_is_drawn_where_the_table_says_so(subject: Subject) -> None:
    drawn = [subject.text(max_tokens=12, temperature=1.8, seed=seed) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert (len(set(drawn)) > 1) == subject.quirks.takes_seed


def test_a_generation_can_be_ended_where_the_table_says_so(subject: Subject) -> None:
    assert subject.client.get("/cancel").status_code == (405 if subject.quirks.cancels else 404)
    if not subject.quirks.cancels:
        return
    body = {"model": subject.model, "messages": HELLO, "max_tokens": 900, "stream": True, "temperature": 1.5}
    decoder, told = SseDecoder(), []
    with subject.client.stream("POST", "/v1/chat/completions", json=body) as response:
        for chunk in response.iter_raw():
            told += list(decoder.feed(chunk))
            if sum('"content":"' in data for data in told) == 4:
                httpx.post(f"{subject.client.base_url}/cancel", trust_env=False)
    assert told[-1] == "[DONE]"
    assert len(told) < 400
    assert len(subject.text(max_tokens=8)) > 0, "the next one is not cancelled"


def test_long_answers_run_out_of_rules_where_the_table_says_so(subject: Subject) -> None:
    if subject.program.line == "llama":
        assert not subject.quirks.rule_budget
        return
    status = subject.chat(max_tokens=300, temperature=1.5).status_code
    assert (status != 200) == subject.quirks.rule_budget


def test_parts_of_characters_arrive_where_the_table_says_so(subject: Subject) -> None:
    """Our builds send them as U+10FF00 + byte; others fail there, or send U+FFFD."""
    if subject.program.fake:
        pytest.skip("the fake's tokens are whole words")
    if subject.program.line == "llama":
        answer = subject.chat(
            messages=[{"role": "user", "content": "Reply with only this text: 🎉 done"}], max_tokens=20
        )
        text = answer.text if answer.is_success else ""
    else:
        text = "".join(subject.text(max_tokens=200, temperature=2.0 + index / 10, seed=index) for index in range(4))
    assert any(ord(letter) >= 0x10FF00 for letter in text) == subject.quirks.keeps_characters


def test_the_model_stays_loaded_where_the_table_says_so(subject: Subject) -> None:
    if subject.program.fake or subject.program.line == "airframe":
        pytest.skip("told by the process's maps, which only llama.cpp has the file in")
    subject.chat()
    mapped = any(subject.program.model.name in entry.path for entry in subject.process.memory_maps())
    assert mapped == subject.quirks.keeps_model


@pytest.mark.parametrize("line", ["llama", "airframe"])
@pytest.mark.parametrize("kind", ["fake", "real"])
def test_a_key_is_needed_off_loopback_where_the_table_says_so(
    request: pytest.FixtureRequest, toy: Path, tmp_path: Path, kind: str, line: str
) -> None:
    program: Program = request.getfixturevalue(f"real_{line}") if kind == "real" else Program(line, FAKE, toy)
    command = [str(program.binary), "serve", "--bind", f"0.0.0.0:{free_port()}", "--model-path", str(program.model)]
    env = program.env | {"HOME": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        try:
            one.wait(2)
        except subprocess.TimeoutExpired:
            one.kill()
    assert (one.returncode == 1) == (line == "airframe")
