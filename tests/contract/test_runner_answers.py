"""What a client of the runner gets is the same whichever Shimmy is behind it, real or fake, old or new."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.contract.h2c import post
from tests.contract.running import TOKEN, OpenStream, Program, Runner, events, runner

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def running(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(program, tmp_path_factory.mktemp("runner")) as started:
        yield started


def test_an_answer_carries_its_usage_three_times_alike(running: Runner) -> None:
    response = running.chat(QUESTION, max_tokens=6)
    assert response.status_code == 200
    usage, headers = response.json()["usage"], response.headers
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 1 <= usage["completion_tokens"] <= 6
    assert headers["x-shimmy-prompt-tokens"] == str(usage["prompt_tokens"])
    assert headers["x-shimmy-completion-tokens"] == str(usage["completion_tokens"])
    assert (headers["x-shimmy-pod"], headers["x-shimmy-model"]) == ("m-0", "m")
    record = running.usage()[-1]
    assert record["requestId"] == headers["x-request-id"]
    assert (record["promptTokens"], record["completionTokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (record["outcome"], record["namespace"], record["pod"]) == ("completed", "ns", "m-0")


@pytest.mark.parametrize(("attempt", "reason"), [("1", "no_pod"), ("2", "retried")])
def test_an_answer_says_why_another_model_was_asked_than_it_is_from(running: Runner, attempt: str, reason: str) -> None:
    asked = {"x-shimmy-model": "m", "x-shimmy-asked": "big", "x-envoy-attempt-count": attempt}
    body = {"model": "big", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 1}
    for stream in (False, True):
        answer = post(
            f"{running.url}/v1/chat/completions", body | {"stream": stream}, asked | {"x-shimmy-engine-token": TOKEN}
        )
        assert answer.headers[":status"] == "200"
        assert (answer.headers["x-shimmy-model"], answer.headers["x-shimmy-reason"]) == ("m", reason)


def test_an_answer_of_the_model_that_was_asked_for_gives_no_reason(running: Runner) -> None:
    asked = {"x-shimmy-model": "m", "x-shimmy-asked": "m", "x-shimmy-engine-token": TOKEN}
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 1}
    assert "x-shimmy-reason" not in post(f"{running.url}/v1/chat/completions", body, asked).headers


def test_a_stream_gives_the_same_text_and_counts_as_json(running: Runner) -> None:
    whole = running.chat(QUESTION, max_tokens=6, temperature=0).json()
    streamed = events(
        running.chat(QUESTION, max_tokens=6, temperature=0, stream=True, stream_options={"include_usage": True}).content
    )
    assert streamed[-1] == "[DONE]"
    chunks = streamed[:-1]
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    text = "".join(delta.get("content", "") for delta in deltas)
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_stream_carries_its_counts_in_trailers_over_http2(running: Runner) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 3, "stream": True}
    headers = {"x-shimmy-engine-token": TOKEN, "x-request-id": "r-1", "x-shimmy-tenant": "acme"}
    answer = post(f"{running.url}/v1/chat/completions", body, headers | {"te": "trailers"})
    record = running.usage()[-1]
    assert (record["requestId"], record["tenant"], record["completionTokens"]) == ("r-1", "acme", 3)
    assert answer.headers[":status"] == "200"
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.trailers == {
        "x-shimmy-prompt-tokens": str(record["promptTokens"]),
        "x-shimmy-completion-tokens": "3",
    }
    unasked = post(f"{running.url}/v1/chat/completions", body, headers)
    assert unasked.trailers == {}
    assert len(unasked.body.split(b"\n\n")) == len(answer.body.split(b"\n\n"))


def test_an_answer_that_reaches_its_limit_says_so(running: Runner) -> None:
    response = running.chat(QUESTION, max_tokens=2).json()
    assert response["choices"][0]["finish_reason"] == "length"
    assert response["usage"]["completion_tokens"] == 2


def test_a_completion_goes_on_from_the_text_alone(running: Runner) -> None:
    body = {"model": "m", "prompt": "one two three", "max_tokens": 4, "temperature": 0}
    whole = running.client.post("/v1/completions", json=body).json()
    assert whole["object"] == "text_completion"
    assert whole["usage"]["completion_tokens"] <= 4
    assert (
        whole["usage"]["prompt_tokens"] < running.chat("one two three", max_tokens=1).json()["usage"]["prompt_tokens"]
    )
    streamed = events(running.client.post("/v1/completions", json=body | {"stream": True}).content)
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed[:-1]) == whole["choices"][0]["text"]


def test_what_does_not_fit_is_refused_with_both_numbers(running: Runner) -> None:
    error = running.chat(QUESTION, max_tokens=100_000)
    assert error.status_code == 400
    assert error.json()["error"]["code"] == "context_length_exceeded"
    assert "100000 tokens of answer" in error.json()["error"]["message"]
    error = running.chat("word " * 30_000)
    assert (error.status_code, error.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_engine_refusals_never_leak_through(running: Runner) -> None:
    for body, status, code in (
        (b"{", 400, "invalid_json"),
        (b'{"model": "m"}', 400, "missing_parameter"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "max_tokens": -1}', 400, "invalid_value"),
        (b'{"model": "other", "messages": [{"role": "user", "content": "a"}]}', 404, "model_not_found"),
        (b" " * (10 * 1024 * 1024 + 1), 413, "request_too_large"),
    ):
        response = running.client.post("/v1/chat/completions", content=body)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert response.headers["content-type"] == "application/json"


def test_only_what_reaches_the_engine_counts_for_its_limit(running: Runner) -> None:
    blanks = b" " * (3 * 1024 * 1024)
    body = b'{"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": "a"}]' + blanks + b"}"
    assert running.client.post("/v1/chat/completions", content=body).status_code == 200
    response = running.chat("a" * (2 * 1024 * 1024))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")


def test_callers_without_the_token_are_refused(running: Runner) -> None:
    for headers in ({}, {"x-shimmy-engine-token": "wrong"}):
        for path in ("/v1/models", "/internal/journal"):
            response = httpx.get(running.url + path, headers=headers, trust_env=False)
            assert (response.status_code, response.json()["error"]["code"]) == (403, "untrusted_caller")


def test_unknown_paths_and_methods_have_the_same_error_shape(running: Runner) -> None:
    assert running.client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert running.client.get("/v1/chat/completions").json()["error"]["code"] == "method_not_allowed"


def test_a_text_stops_at_a_stop_string(running: Runner) -> None:
    full = running.chat(QUESTION, max_tokens=6, temperature=0).json()["choices"][0]["message"]["content"]
    stop = full[len(full) // 2 :][:3]
    answer = running.chat(QUESTION, max_tokens=6, temperature=0, stop=[stop]).json()
    assert answer["choices"][0]["message"]["content"] == full[: full.index(stop)]
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_openais_own_client_understands_everything(running: Runner) -> None:
    with openai.OpenAI(
        base_url=f"{running.url}/v1", api_key="unused", default_headers={"x-shimmy-engine-token": TOKEN}
    ) as client:
        assert [model.id for model in client.models.list()] == ["m"]
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        answer = client.chat.completions.create(model="m", messages=messages, max_tokens=5)
        assert answer.usage is not None
        assert answer.usage.completion_tokens >= 1
        with client.chat.completions.create(model="m", messages=messages, max_tokens=5, stream=True) as stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert text
        tools: list[Any] = [{}]
        with pytest.raises(openai.BadRequestError, match="tools"):
            client.chat.completions.create(model="m", messages=messages, tools=tools)


@pytest.fixture(scope="module")
def llama(real_llama: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(real_llama, tmp_path_factory.mktemp("llama")) as started:
        yield started


def test_the_llama_line_streams_while_it_generates(llama: Runner) -> None:
    with OpenStream(llama, max_tokens=100) as stream:
        assert llama.metric("shimmy_engine_requests_in_flight") == 1, "the first text came at the very end"
        assert stream.rest().endswith(b"data: [DONE]\n\n")


def test_the_llama_line_writes_characters_that_are_split_over_tokens(llama: Runner) -> None:
    answer = llama.chat("Reply with only this text: 🎉 done", max_tokens=20, temperature=0).json()
    text = answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 1
    assert any(ord(letter) > 0x1F000 for letter in text)
    assert "\ufffd" not in text


def test_the_llama_line_answers_with_sense(llama: Runner) -> None:
    answer = llama.chat(QUESTION, temperature=0).json()
    assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert answer["usage"] == {"prompt_tokens": 16, "completion_tokens": 7, "total_tokens": 23}


def test_a_control_token_in_a_message_is_fed_as_text(running: Runner, program: Program) -> None:
    if program.fake:
        pytest.skip("the fake counts words")

    def prompt_tokens(text: str) -> int:
        return int(running.chat(text, max_tokens=1, temperature=0).json()["usage"]["prompt_tokens"])

    plain = prompt_tokens("one two")
    assert prompt_tokens("one <|im_end|> two") > plain + 4, "as a control token it would cost one, and its space"
