"""Anthropic's own client, as it is, against the runner over each Shimmy."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message
from tests.contract.h2c import post
from tests.contract.running import TOKEN, Runner

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
COLD = {"temperature": 0}
"""The client has had no parameters for sampling since 2.0, the API still takes them."""


@pytest.fixture(scope="module")
def client(served: Runner) -> Iterator[anthropic.Anthropic]:
    headers = {"x-shimmy-engine-token": TOKEN}
    with anthropic.Anthropic(base_url=served.url, api_key="k", default_headers=headers, max_retries=0) as opened:
        yield opened


def ask(client: anthropic.Anthropic, messages: Any = QUESTION, **options: Any) -> Message:
    given: dict[str, Any] = {"model": "m", "max_tokens": 6, "extra_body": COLD} | options
    message: Message = client.messages.create(messages=messages, **given)
    return message


@pytest.fixture(scope="module")
def whole(client: anthropic.Anthropic) -> Message:
    """The answer to QUESTION, which is the same every time."""
    return ask(client)


def text(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def refusal(caught: pytest.ExceptionInfo[anthropic.APIStatusError]) -> tuple[int, str | None, str | None]:
    return caught.value.status_code, caught.value.type, caught.value.error_code


def test_message(whole: Message) -> None:
    assert (whole.type, whole.role, whole.model) == ("message", "assistant", "m")
    assert text(whole)
    assert whole.stop_reason in ("end_turn", "max_tokens")
    assert whole._request_id


def test_message_is_what_openais_api_says(whole: Message, served: Runner) -> None:
    chat = served.chat(QUESTION[0]["content"], max_tokens=6, temperature=0).json()
    assert text(whole) == chat["choices"][0]["message"]["content"]
    assert whole.usage.input_tokens == chat["usage"]["prompt_tokens"]
    assert whole.usage.output_tokens == chat["usage"]["completion_tokens"]


def test_stream(client: anthropic.Anthropic, whole: Message) -> None:
    with client.messages.stream(model="m", max_tokens=6, extra_body=COLD, messages=QUESTION) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert streamed == text(whole)
    assert text(final) == text(whole)
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert final.usage.input_tokens == whole.usage.input_tokens


def test_stream_events(client: anthropic.Anthropic) -> None:
    with client.messages.create(model="m", max_tokens=6, messages=QUESTION, stream=True) as stream:
        types = [event.type for event in stream]
    assert types[:2] == ["message_start", "content_block_start"]
    assert set(types[2:-3]) == {"content_block_delta"}
    assert types[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_a_ping_comes_before_the_text(served: Runner) -> None:
    """The client swallows it."""
    body = {"model": "m", "max_tokens": 2, "messages": QUESTION, "stream": True}
    stream = served.client.post("/v1/messages", json=body).text
    assert stream.index("event: ping") < stream.index("event: content_block_delta")


@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequences_say_which_one(client: anthropic.Anthropic, whole: Message, stream: bool) -> None:
    full = text(whole)
    stop = full[len(full) // 2 :][:4]
    options: Any = {"stop_sequences": ["no such text", stop]}
    if stream:
        with client.messages.stream(model="m", max_tokens=6, extra_body=COLD, messages=QUESTION, **options) as opened:
            message: Any = opened.get_final_message()
    else:
        message = ask(client, **options)
    assert text(message) == full[: full.index(stop)]
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)


def test_limit(client: anthropic.Anthropic) -> None:
    message = ask(client, max_tokens=2)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 2)


def test_system_text_and_blocks(client: anthropic.Anthropic, whole: Message) -> None:
    blocks = [
        {"type": "text", "text": "Be ", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "brief."},
    ]
    as_text, as_blocks = ask(client, system="Be brief."), ask(client, system=blocks)
    assert text(as_text) == text(as_blocks)
    assert as_text.usage == as_blocks.usage
    assert as_text.usage.input_tokens != whole.usage.input_tokens


def test_going_on_from_its_own_answer(client: anthropic.Anthropic, whole: Message) -> None:
    answer = {"role": "assistant", "content": [block.model_dump() for block in whole.content]}
    second = ask(client, [*QUESTION, answer, {"role": "user", "content": "Why?"}], max_tokens=2)
    assert second.usage.input_tokens > whole.usage.input_tokens


def test_any_character(client: anthropic.Anthropic) -> None:
    odd = 'Ünï 日本語 🎉👩‍👩‍👧 \u2028 \u0085 \\ " \t and so on'
    assert ask(client, [{"role": "user", "content": odd}], max_tokens=2).usage.input_tokens > 10


def test_sampling(client: anthropic.Anthropic) -> None:
    assert text(ask(client, extra_body={"temperature": 0.8, "top_p": 0.9}))


@pytest.mark.parametrize("options", [{}, {"system": "Be brief."}])
def test_a_count_is_what_the_message_then_uses(client: anthropic.Anthropic, options: Any) -> None:
    counted = client.messages.count_tokens(model="m", messages=QUESTION, **options)
    assert counted.input_tokens == ask(client, **options).usage.input_tokens


def test_a_count_is_no_usage(client: anthropic.Anthropic, served: Runner) -> None:
    before = served.settled()
    client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "word " * 5_000}])
    assert served.settled() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"name": "f", "input_schema": {"type": "object"}}]),
        ("extra_body", {"top_k": 5}),
        ("thinking", {"type": "enabled", "budget_tokens": 1024}),
        ("container", "c"),
    ],
)
def test_refused_by_name(client: anthropic.Anthropic, name: str, value: Any) -> None:
    named = "top_k" if name == "extra_body" else name
    with pytest.raises(anthropic.BadRequestError, match=named) as caught:
        ask(client, **{name: value})
    assert refusal(caught) == (400, "invalid_request_error", "unsupported_parameter")


def test_a_started_answer_is_refused(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="last message"):
        ask(client, [*QUESTION, {"role": "assistant", "content": "It is"}])


def test_what_does_not_fit(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(client, max_tokens=20_000)  # for more, the client insists on a stream
    assert refusal(caught) == (400, "invalid_request_error", "context_length_exceeded")


@pytest.mark.parametrize("method", ["create", "count_tokens"])
def test_an_unknown_model(client: anthropic.Anthropic, method: str) -> None:
    options: Any = {"max_tokens": 2} if method == "create" else {}
    with pytest.raises(anthropic.NotFoundError) as caught:
        getattr(client.messages, method)(model="other", messages=QUESTION, **options)
    assert refusal(caught) == (404, "not_found_error", "model_not_found")


def test_models(client: anthropic.Anthropic) -> None:
    (listed,) = client.models.list()
    assert (listed.id, listed.display_name, listed.type) == ("m", "m", "model")
    assert client.models.retrieve("m").id == "m"
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.models.retrieve("other")
    assert refusal(caught) == (404, "not_found_error", "model_not_found")


def test_leaving_a_stream_frees_the_engine(client: anthropic.Anthropic, served: Runner) -> None:
    before = served.settled()
    with client.messages.create(model="m", max_tokens=40, messages=QUESTION, stream=True) as stream:
        next(iter(stream))
    assert text(ask(client))
    assert served.settled() == before + 2


def test_a_caller_without_the_token(served: Runner) -> None:
    stranger = anthropic.Anthropic(base_url=served.url, api_key="k", max_retries=0)
    with stranger, pytest.raises(anthropic.PermissionDeniedError) as caught:
        ask(stranger)
    assert refusal(caught) == (403, "permission_error", "untrusted_caller")


def test_a_stream_carries_its_counts_in_trailers(served: Runner) -> None:
    body = {"model": "m", "messages": QUESTION, "max_tokens": 3, "stream": True}
    headers = {"x-shimmy-engine-token": TOKEN, "x-request-id": "r-a", "te": "trailers"}
    answer = post(f"{served.url}/v1/messages", body, headers)
    record = served.usage()[-1]
    assert (record["requestId"], answer.headers["request-id"], record["outcome"]) == ("r-a", "r-a", "completed")
    assert answer.trailers == {
        "x-shimmy-prompt-tokens": str(record["promptTokens"]),
        "x-shimmy-completion-tokens": str(record["completionTokens"]),
    }
