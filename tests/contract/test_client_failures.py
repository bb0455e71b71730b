"""What each client makes of a pod that is busy, breaks off or leaves. Against the fake of each line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest
from tests.contract.running import FAKE, TOKEN, OpenStream, Program, Runner, runner
from tests.contract.ws import connect

from devkit.waiting import until
from shimmy_engine.sse import SseDecoder

SLOW = {"SHIMMY_FAKE_TOKENS_PER_SECOND": "50", "SHIMMY_FAKE_ANSWER_TOKENS": "1000"}
ODD = 'Ünï 日本語 🎉👩‍👩‍👧 \u2028 \u0085 \\ " \t {"done":true} [DONE] end'
BROKEN = "The engine failed while it answered."


@dataclass
class Clients:
    """All of them, talking to one runner over a slow Shimmy."""

    running: Runner
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    ollama: ollama.Client

    def chat(self, text: str, **options: Any) -> Any:
        return self.openai.chat.completions.create(model="m", messages=_messages(text), **options)

    def respond(self, text: str, **options: Any) -> Any:
        return self.openai.responses.create(model="m", input=text, **options)

    def message(self, text: str, **options: Any) -> Any:
        return self.anthropic.messages.create(model="m", messages=_messages(text), max_tokens=100, **options)

    def ollama_chat(self, text: str, **options: Any) -> Any:
        return self.ollama.chat(model="m", messages=_messages(text), **options)

    def events(self, text: str) -> bytes:
        headers = {"accept": "text/event-stream"}
        return self.running.client.post("/api/generate", json={"model": "m", "prompt": text}, headers=headers).content

    def frames(self, text: str) -> tuple[list[str], int]:
        with connect(f"{self.running.url}/ws/generate", {"x-shimmy-engine-token": TOKEN}) as socket:
            socket.send({"model": "m", "prompt": text})
            return socket.rest(), socket.close_code


def _messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


@contextmanager
def all_clients(line: str, toy: Path, folder: Path, *options: str) -> Iterator[Clients]:
    program = replace(Program(line, FAKE, toy), environment=SLOW)
    headers = {"x-shimmy-engine-token": TOKEN}
    given: Any = {"api_key": "k", "default_headers": headers, "max_retries": 0}
    with (
        runner(program, folder, *options) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", **given) as of_openai,
        anthropic.Anthropic(base_url=running.url, **given) as of_anthropic,
        ollama.Client(host=running.url, headers=headers, trust_env=False) as of_ollama,
    ):
        yield Clients(running, of_openai, of_anthropic, of_ollama)


@pytest.fixture(params=["llama", "airframe"], scope="module")
def clients(request: pytest.FixtureRequest, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    with all_clients(request.param, toy, tmp_path_factory.mktemp("slow")) as opened:
        yield opened


@pytest.fixture
def busy(fake: Program, toy: Path, tmp_path: Path) -> Iterator[Clients]:
    """A runner whose only place is taken."""
    with (
        all_clients(fake.line, toy, tmp_path, "--queue", "0") as opened,
        OpenStream(opened.running, max_tokens=900),
    ):
        yield opened


def test_a_full_queue_in_each_clients_words(busy: Clients) -> None:
    with pytest.raises(openai.RateLimitError) as of_openai:
        busy.chat("hi")
    assert of_openai.value.code == "queue_full"
    assert int(of_openai.value.response.headers["retry-after"]) >= 1
    with pytest.raises(anthropic.RateLimitError) as of_anthropic:
        busy.message("hi")
    assert (of_anthropic.value.type, of_anthropic.value.error_code) == ("rate_limit_error", "queue_full")
    with pytest.raises(ollama.ResponseError, match="Too many requests") as of_ollama:
        busy.ollama_chat("hi")
    assert of_ollama.value.status_code == 429
    assert json.loads(busy.events("hi"))["error"]["code"] == "queue_full"
    (frame,), close = busy.frames("hi")
    assert (json.loads(frame)["error"]["code"], close) == ("queue_full", 1013)


def leave_chat(clients: Clients) -> None:
    with clients.chat("go on", stream=True) as stream:
        next(iter(stream))


def leave_response(clients: Clients) -> None:
    with clients.respond("go on", stream=True) as stream:
        next(iter(stream))


def leave_message(clients: Clients) -> None:
    with clients.message("go on", stream=True) as stream:
        next(iter(stream))


def leave_ollama(clients: Clients) -> None:
    stream = clients.ollama_chat("go on", stream=True)
    next(stream)
    stream.close()


def leave_websocket(clients: Clients) -> None:
    with connect(f"{clients.running.url}/ws/generate", {"x-shimmy-engine-token": TOKEN}) as socket:
        socket.send({"model": "m", "prompt": "go on"})
        socket.next()


@pytest.mark.parametrize("leave", [leave_chat, leave_response, leave_message, leave_ollama, leave_websocket])
def test_leaving_a_stream_cancels_what_runs(clients: Clients, leave: Callable[[Clients], None]) -> None:
    before = len(clients.running.usage())
    leave(clients)
    record = until(lambda: clients.running.usage()[before:], "the record", seconds=10)[0]
    assert record["outcome"] == "cancelled"
    assert record["completionTokens"] < 100


def test_lists_and_liveness_need_no_place(busy: Clients) -> None:
    assert [model.id for model in busy.openai.models.list()] == ["m"]
    assert [model.model for model in busy.ollama.list().models] == ["m"]
    assert busy.running.client.get("/").is_success


def test_a_stream_that_breaks_off_in_each_clients_words(clients: Clients) -> None:
    with pytest.raises(openai.APIError, match=BROKEN):
        list(clients.chat("[[drop]]", stream=True))
    failed = list(clients.respond("[[drop]]", stream=True))[-1]
    assert (failed.type, failed.response.error.code) == ("response.failed", "server_error")
    assert len(failed.response.output_text.split()) == 3
    with pytest.raises(anthropic.APIStatusError, match=BROKEN) as of_anthropic:
        list(clients.message("[[drop]]", stream=True))
    assert of_anthropic.value.type == "api_error"
    with pytest.raises(ollama.ResponseError, match=BROKEN):
        list(clients.ollama_chat("[[drop]]", stream=True))
    stream = clients.events("[[drop]]")
    assert b"event: error\n" in stream
    assert b"[DONE]" not in stream
    *texts, last = clients.frames("[[drop]]")[0]
    assert (len(texts), json.loads(last)["error"]["code"]) == (3, "engine_failed")


def test_a_whole_answer_that_breaks_off_in_each_clients_words(clients: Clients) -> None:
    with pytest.raises(openai.InternalServerError) as of_openai:
        clients.chat("[[drop]]")
    assert (of_openai.value.status_code, of_openai.value.code) == (502, "engine_failed")
    with pytest.raises(anthropic.InternalServerError) as of_anthropic:
        clients.message("[[drop]]")
    assert (of_anthropic.value.type, of_anthropic.value.error_code) == ("api_error", "engine_failed")
    with pytest.raises(ollama.ResponseError, match=BROKEN) as of_ollama:
        clients.ollama_chat("[[drop]]")
    assert of_ollama.value.status_code == 502


def test_text_of_any_characters_arrives_whole_in_each_client(clients: Clients) -> None:
    asked = f"[[say={ODD.replace(']', '')}]]"
    said = ODD.replace("]", "").rstrip()
    assert clients.chat(asked).choices[0].message.content == said
    assert "".join(chunk.choices[0].delta.content or "" for chunk in clients.chat(asked, stream=True)) == said
    assert clients.respond(asked).output_text == said
    assert clients.message(asked).content[0].text == said
    with clients.anthropic.messages.stream(model="m", messages=_messages(asked), max_tokens=100) as stream:
        assert "".join(stream.text_stream) == said
    assert clients.ollama_chat(asked).message.content == said
    assert "".join(part.message.content for part in clients.ollama_chat(asked, stream=True)) == said
    *texts, _, end = SseDecoder().feed(clients.events(asked))
    assert ("".join(texts), end) == (said, "[DONE]")
    *frames, _ = clients.frames(asked)[0]
    assert "".join(frames) == said


def test_a_pod_that_leaves_in_each_clients_words(fake: Program, toy: Path, tmp_path: Path) -> None:
    options = ("--accept-seconds", "0", "--grace-seconds", "2")
    with all_clients(fake.line, toy, tmp_path, *options) as clients, OpenStream(clients.running, max_tokens=900):
        clients.running.terminate()
        until(lambda: clients.running.chat("hi").status_code == 503, "the drain", seconds=10)
        with pytest.raises(anthropic.APIStatusError) as of_anthropic:
            clients.message("hi")
        assert (of_anthropic.value.type, of_anthropic.value.error_code) == ("overloaded_error", "draining")
        with pytest.raises(ollama.ResponseError, match="shutting down"):
            clients.ollama_chat("hi")
        (frame,), close = clients.frames("hi")
        assert (json.loads(frame)["error"]["code"], close) == ("draining", 1013)
