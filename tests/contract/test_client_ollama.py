"""Ollama's own client, as it is, against the runner over each Shimmy."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest
from tests.contract.h2c import post
from tests.contract.running import TOKEN, Runner

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
BRIEF: Any = {"num_predict": 6, "temperature": 0}


@pytest.fixture(scope="module")
def client(served: Runner) -> Iterator[ollama.Client]:
    with ollama.Client(host=served.url, headers={"x-shimmy-engine-token": TOKEN}, trust_env=False) as opened:
        yield opened


def chat(client: ollama.Client, messages: Any = QUESTION, **options: Any) -> ollama.ChatResponse:
    return client.chat(model="m", messages=messages, options=BRIEF | options)


@pytest.fixture(scope="module")
def whole(client: ollama.Client) -> ollama.ChatResponse:
    """The answer to QUESTION, which is the same every time."""
    return chat(client)


def text(answer: ollama.ChatResponse) -> str:
    return answer.message.content or ""


def test_chat(whole: ollama.ChatResponse) -> None:
    assert (whole.model, whole.done, whole.message.role) == ("m", True, "assistant")
    assert text(whole)
    assert whole.done_reason in ("stop", "length")


def test_chat_is_what_openais_api_says(whole: ollama.ChatResponse, served: Runner) -> None:
    openai = served.chat(QUESTION[0]["content"], max_tokens=6, temperature=0).json()
    assert text(whole) == openai["choices"][0]["message"]["content"]
    assert whole.prompt_eval_count == openai["usage"]["prompt_tokens"]
    assert whole.eval_count == openai["usage"]["completion_tokens"]


def test_chat_stream(client: ollama.Client, whole: ollama.ChatResponse) -> None:
    *parts, last = client.chat(model="m", messages=QUESTION, options=BRIEF, stream=True)
    assert "".join(text(part) for part in parts) == text(whole)
    assert not any(part.done for part in parts)
    assert (last.done, last.done_reason, text(last)) == (True, whole.done_reason, "")
    assert (last.prompt_eval_count, last.eval_count) == (whole.prompt_eval_count, whole.eval_count)


def test_durations_add_up(whole: ollama.ChatResponse) -> None:
    assert whole.total_duration is not None
    assert whole.prompt_eval_duration is not None
    assert whole.eval_duration is not None
    assert 0 < whole.prompt_eval_duration + whole.eval_duration <= whole.total_duration + 2


def test_generate(client: ollama.Client, whole: ollama.ChatResponse) -> None:
    answer = client.generate(model="m", prompt=QUESTION[0]["content"], options=BRIEF)
    assert answer.response == text(whole)
    *parts, last = client.generate(model="m", prompt=QUESTION[0]["content"], options=BRIEF, stream=True)
    assert "".join(part.response or "" for part in parts) == answer.response
    assert last.done


def test_generate_with_a_system_text(client: ollama.Client) -> None:
    answer = client.generate(model="m", prompt="Hi", system="Be brief.", options=BRIEF)
    same = chat(client, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    assert (answer.response, answer.prompt_eval_count) == (text(same), same.prompt_eval_count)


def test_generate_from_a_raw_text(client: ollama.Client, served: Runner) -> None:
    raw = client.generate(model="m", prompt="one two three", raw=True, options=BRIEF)
    body = {"model": "m", "prompt": "one two three", "max_tokens": 6, "temperature": 0}
    completion = served.client.post("/v1/completions", json=body).json()
    assert raw.response == completion["choices"][0]["text"]
    assert raw.prompt_eval_count == completion["usage"]["prompt_tokens"]


@pytest.mark.parametrize("messages", [[], None])
def test_loading_a_model_that_is_loaded(client: ollama.Client, messages: Any) -> None:
    assert client.chat(model="m", messages=messages, keep_alive="5m").done_reason == "load"
    assert client.generate(model="m").done_reason == "load"


def test_limit(client: ollama.Client) -> None:
    answer = chat(client, num_predict=2)
    assert (answer.done_reason, answer.eval_count) == ("length", 2)


@pytest.mark.parametrize("several", [False, True])
def test_stop(client: ollama.Client, whole: ollama.ChatResponse, several: bool) -> None:
    full = text(whole)
    stop = full[len(full) // 2 :][:4]
    answer = chat(client, stop=["no such text", stop] if several else stop)
    assert (text(answer), answer.done_reason) == (full[: full.index(stop)], "stop")


def test_seed_and_sampling(client: ollama.Client, whole: ollama.ChatResponse) -> None:
    assert text(chat(client, seed=7)) == text(whole)
    assert text(chat(client, temperature=0.8, top_p=0.9, num_ctx=256))


def test_any_character(client: ollama.Client) -> None:
    odd = 'Ünï 日本語 🎉👩‍👩‍👧 \u2028 \u0085 \\ " \t and so on'
    answer = chat(client, [{"role": "user", "content": odd}], num_predict=2)
    assert (answer.prompt_eval_count or 0) > 10


def test_several_turns(client: ollama.Client, whole: ollama.ChatResponse) -> None:
    second = chat(client, [*QUESTION, whole.message, {"role": "user", "content": "Why?"}], num_predict=2)
    assert (second.prompt_eval_count or 0) > (whole.prompt_eval_count or 0)


def test_the_tag_latest(client: ollama.Client) -> None:
    assert client.chat(model="m:latest", messages=QUESTION, options=BRIEF).done


@pytest.mark.parametrize(
    "options",
    [
        {"format": "json"},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"think": True},
        {"logprobs": True},
        {"options": {"top_k": 5}},
        {"options": {"repeat_penalty": 1.1}},
        {"options": {"num_ctx": 1_000_000}},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refused_by_name(client: ollama.Client, options: Any, stream: bool) -> None:
    ((name, value),) = options.items()
    name = f"options.{next(iter(value))}" if name == "options" else name
    with pytest.raises(ollama.ResponseError, match=name) as caught:
        list(client.chat(model="m", messages=QUESTION, **options | {"stream": stream}))
    assert caught.value.status_code == 400


def test_what_does_not_fit(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="context") as caught:
        chat(client, num_predict=1_000_000)
    assert caught.value.status_code == 400


def test_an_unknown_model(client: ollama.Client) -> None:
    for ask in (
        lambda: client.chat(model="other", messages=QUESTION),
        lambda: client.generate(model="other", prompt="hi"),
        lambda: client.generate(model="other"),
        lambda: client.show("other"),
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            ask()
        assert caught.value.status_code == 404


def test_lists(client: ollama.Client) -> None:
    (listed,) = client.list().models
    (running,) = client.ps().models
    assert (listed.model, running.model) == ("m", "m")
    assert listed.size == running.size
    assert listed.size
    assert len(listed.digest or "") == 64
    shown = client.show("m:latest")
    assert shown.details == listed.details
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == running.context_length


def test_liveness_and_version(served: Runner) -> None:
    assert served.client.get("/").text == "Ollama is running"
    assert served.client.head("/").status_code == 200
    assert set(served.client.get("/api/version").json()) == {"version"}


def test_what_changes_models_is_refused(client: ollama.Client) -> None:
    for ask in (
        lambda: client.pull("m"),
        lambda: list(client.pull("m", stream=True)),
        lambda: client.push("m"),
        lambda: client.create(model="n", from_="m"),
        lambda: client.copy("m", "n"),
        lambda: client.delete("m"),
        lambda: client.embed(model="m", input="hi"),
        lambda: client.embeddings(model="m", prompt="hi"),
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            ask()
        assert caught.value.status_code == 501
        assert "engines behind this address" in caught.value.error


def test_a_refusal_leaves_the_connection_open(served: Runner) -> None:
    """The body comes late, when a server that does not read it has answered and closed already."""
    head = f"host: x\r\nx-shimmy-engine-token: {TOKEN}\r\ncontent-length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), timeout=10) as wire:
        wire.sendall(f"POST /api/pull HTTP/1.1\r\n{head}".encode())
        assert served.client.get("/api/version").is_success
        wire.sendall(f"{{}}POST /api/pull HTTP/1.1\r\n{head}{{}}".encode())
        received = b""
        while received.count(b"unsupported_operation") < 2:
            chunk = wire.recv(65536)
            assert chunk, "the connection was closed"
            received += chunk


def test_leaving_a_stream_frees_the_engine(client: ollama.Client, served: Runner) -> None:
    before = served.settled()
    stream: Any = client.chat(model="m", messages=QUESTION, options={"num_predict": 40}, stream=True)
    next(stream)
    stream.close()
    assert text(chat(client))
    assert served.settled() == before + 2


def test_a_caller_without_the_token(served: Runner) -> None:
    stranger = ollama.Client(host=served.url, trust_env=False)
    with stranger, pytest.raises(ollama.ResponseError, match="router") as caught:
        chat(stranger)
    assert caught.value.status_code == 403


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_stream_carries_its_counts_in_trailers(served: Runner, path: str) -> None:
    body = {"model": "m", "messages": QUESTION} if path == "/api/chat" else {"model": "m", "prompt": "hi"}
    headers = {"x-shimmy-engine-token": TOKEN, "x-request-id": "r-o", "te": "trailers"}
    answer = post(f"{served.url}{path}", body | {"options": {"num_predict": 3}}, headers)
    record = served.usage()[-1]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert (record["requestId"], record["outcome"]) == ("r-o", "completed")
    assert answer.trailers == {
        "x-shimmy-prompt-tokens": str(record["promptTokens"]),
        "x-shimmy-completion-tokens": str(record["completionTokens"]),
    }
