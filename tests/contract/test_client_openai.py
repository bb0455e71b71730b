"""OpenAI's own client, as it is, against the runner over each Shimmy."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion
from tests.contract.running import TOKEN, Runner

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
ODD = 'Ünï 日本語 🎉👩‍👩‍👧 \u2028 \u0085 \\ " \t and so on'


@pytest.fixture(scope="module")
def client(served: Runner) -> Iterator[openai.OpenAI]:
    headers = {"x-shimmy-engine-token": TOKEN}
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", default_headers=headers, max_retries=0) as opened:
        yield opened


def chat(client: openai.OpenAI, messages: Any = QUESTION, **options: Any) -> ChatCompletion:
    given = {"max_tokens": 6, "temperature": 0} | options
    answer: ChatCompletion = client.chat.completions.create(model="m", messages=messages, **given)
    return answer


def text(answer: ChatCompletion) -> str:
    return answer.choices[0].message.content or ""


@pytest.fixture(scope="module")
def whole(client: openai.OpenAI) -> ChatCompletion:
    """The answer to QUESTION, which is the same every time."""
    return chat(client)


def streamed(client: openai.OpenAI, **options: Any) -> list[Any]:
    given = {"max_tokens": 6, "temperature": 0} | options
    with client.chat.completions.create(model="m", messages=QUESTION, stream=True, **given) as stream:
        return list(stream)


def joined(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def refusal(caught: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, str | None, str | None]:
    return caught.value.status_code, caught.value.code, caught.value.param


def test_chat(client: openai.OpenAI) -> None:
    answer = chat(client)
    assert (answer.model, answer.object, answer.choices[0].message.role) == ("m", "chat.completion", "assistant")
    assert text(answer)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_chat_stream(client: openai.OpenAI, whole: ChatCompletion) -> None:
    chunks = streamed(client)
    assert joined(chunks) == text(whole)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert all(chunk.usage is None for chunk in chunks)


def test_chat_stream_with_usage(client: openai.OpenAI, whole: ChatCompletion) -> None:
    chunks = streamed(client, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_chat_stream_helper(client: openai.OpenAI, whole: ChatCompletion) -> None:
    """It raises where an answer reaches its limit, so this one stops before."""
    full = text(whole)
    stop = full[len(full) // 2 :][:4]
    given: Any = {"max_tokens": 6, "temperature": 0, "stop": stop}
    with client.chat.completions.stream(model="m", messages=QUESTION, **given) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in events
    assert events[-1] == "content.done"
    assert final.choices[0].message.content == full[: full.index(stop)]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_chat_limit(client: openai.OpenAI, name: str) -> None:
    answer = chat(client, **({"max_tokens": openai.omit} | {name: 2}))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_chat_stops_at_a_string_that_spans_tokens(client: openai.OpenAI, whole: ChatCompletion) -> None:
    full = text(whole)
    stop = full[len(full) // 2 :][:4]
    answer = chat(client, stop=stop)
    assert (text(answer), answer.choices[0].finish_reason) == (full[: full.index(stop)], "stop")
    chunks = streamed(client, stop=["no such text", stop])
    assert (joined(chunks), chunks[-1].choices[0].finish_reason) == (full[: full.index(stop)], "stop")


def test_chat_with_any_character(client: openai.OpenAI) -> None:
    answer = chat(client, [{"role": "user", "content": ODD}], max_tokens=2)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 10


def test_chat_with_roles_and_parts(client: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "What is the capital"}, {"type": "text", "text": " of France?"}]
    as_parts = chat(client, [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}])
    as_text = chat(client, [{"role": "system", "content": "Be brief."}, *QUESTION])
    assert (text(as_parts), as_parts.usage) == (text(as_text), as_text.usage)


def test_chat_goes_on_from_its_own_answer(client: openai.OpenAI, whole: ChatCompletion) -> None:
    second = chat(client, [*QUESTION, whole.choices[0].message.model_dump(), {"role": "user", "content": "Why?"}])
    assert whole.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > whole.usage.prompt_tokens


def test_chat_with_a_seed(client: openai.OpenAI, whole: ChatCompletion) -> None:
    assert text(chat(client, seed=7)) == text(whole)


def test_chat_with_sampling(client: openai.OpenAI) -> None:
    assert text(chat(client, temperature=0.8, top_p=0.9))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("response_format", {"type": "json_object"}),
        ("logit_bias", {"1": 1}),
        ("frequency_penalty", 0.5),
        ("store", True),
        ("reasoning_effort", "low"),
    ],
)
def test_chat_refuses_by_name(client: openai.OpenAI, name: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, **{name: value})
    assert refusal(caught) == (400, "unsupported_parameter", name)
    assert name in caught.value.message


def test_chat_with_a_bad_value(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, temperature=3)
    assert refusal(caught) == (400, "invalid_value", "temperature")


def test_chat_that_does_not_fit(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, max_tokens=1_000_000)
    assert refusal(caught) == (400, "context_length_exceeded", "max_tokens")


def test_an_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="other", messages=QUESTION)
    assert refusal(caught) == (404, "model_not_found", "model")


def test_leaving_a_chat_stream_frees_the_engine(client: openai.OpenAI, served: Runner) -> None:
    before = served.settled()
    with client.chat.completions.create(model="m", messages=QUESTION, max_tokens=40, stream=True) as stream:
        next(iter(stream))
    assert text(chat(client))
    assert served.settled() == before + 2


def test_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="m", prompt="one two three", max_tokens=6, temperature=0)
    assert answer.object == "text_completion"
    with client.completions.create(
        model="m", prompt="one two three", max_tokens=6, temperature=0, stream=True
    ) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == answer.choices[0].text


def test_completion_stops_at_a_string(client: openai.OpenAI) -> None:
    full = client.completions.create(model="m", prompt="one two three", max_tokens=6, temperature=0).choices[0].text
    stop = full[len(full) // 2 :][:3]
    cut = client.completions.create(model="m", prompt="one two three", max_tokens=6, temperature=0, stop=stop)
    assert (cut.choices[0].text, cut.choices[0].finish_reason) == (full[: full.index(stop)], "stop")


def test_completion_refuses_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="m", prompt="one", echo=True)
    assert refusal(caught) == (400, "unsupported_parameter", "echo")


def test_models(client: openai.OpenAI) -> None:
    (listed,) = client.models.list()
    assert client.models.retrieve("m") == listed
    assert (listed.id, listed.object) == ("m", "model")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other")
    assert refusal(caught) == (404, "model_not_found", "model")


def test_response(client: openai.OpenAI, whole: ChatCompletion) -> None:
    response = client.responses.create(
        model="m", input=QUESTION[0]["content"], max_output_tokens=6, temperature=0, metadata={"a": "b"}
    )
    assert response.output_text == text(whole)
    assert response.metadata == {"a": "b"}
    assert response.usage is not None
    assert whole.usage is not None
    assert response.usage.input_tokens == whole.usage.prompt_tokens
    assert response.usage.output_tokens == whole.usage.completion_tokens


def test_response_that_reaches_its_limit(client: openai.OpenAI) -> None:
    response = client.responses.create(model="m", input="Tell me a story.", max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_response_stream(client: openai.OpenAI, whole: ChatCompletion) -> None:
    options: Any = {"model": "m", "input": QUESTION, "max_output_tokens": 6, "temperature": 0, "stream": True}
    with client.responses.create(**options) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == text(whole)
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert whole.usage is not None
    assert events[-1].response.usage.output_tokens == whole.usage.completion_tokens


def test_response_stream_helper(client: openai.OpenAI) -> None:
    """Its accumulator raises where the events do not fit together."""
    with client.responses.stream(model="m", input="Hello", max_output_tokens=4) as stream:
        types = [event.type for event in stream]
    assert "response.output_text.done" in types


def test_response_goes_on_from_its_own_output(client: openai.OpenAI) -> None:
    first = client.responses.create(model="m", input=QUESTION, instructions="Be brief.", max_output_tokens=4)
    turns: Any = [*QUESTION, *(item.model_dump() for item in first.output), {"role": "user", "content": "Why?"}]
    second = client.responses.create(model="m", input=turns, instructions="Be brief.", max_output_tokens=4)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("store", True),
        ("tools", [{"type": "web_search"}]),
        ("background", True),
        ("text", {"format": {"type": "json_object"}}),
    ],
)
def test_response_refuses_by_name(client: openai.OpenAI, name: str, value: Any) -> None:
    options: Any = {name: value}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="m", input="hi", **options)
    assert refusal(caught) == (400, "unsupported_parameter", name)


def unsupported(served: Runner) -> float:
    """Refusals with this code so far; the metric has no line before the first one."""
    name = 'shimmy_engine_refused_requests_total{code="unsupported_operation"}'
    return served.metric(name) if name in served.client.get("/metrics").text else 0


def test_embeddings_are_not_tried_again(served: Runner) -> None:
    """The client repeats other 5xx answers: this one would take it seconds."""
    headers = {"x-shimmy-engine-token": TOKEN}
    before = unsupported(served)
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", default_headers=headers, max_retries=2)
    with client, pytest.raises(openai.InternalServerError) as caught:
        client.embeddings.create(model="m", input="hi")
    assert refusal(caught) == (501, "unsupported_operation", None)
    assert unsupported(served) == before + 1


def test_every_answer_names_model_pod_and_request(client: openai.OpenAI, served: Runner) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=QUESTION, max_tokens=2, extra_headers={"x-request-id": "r-7"}
    )
    refused = served.client.post("/v1/chat/completions", content=b"{", headers={"x-request-id": "r-7"})
    missing = served.client.get("/v1/nothing", headers={"x-request-id": "r-7"})
    for headers in (raw.headers, refused.headers, missing.headers):
        assert (headers["x-shimmy-model"], headers["x-shimmy-pod"], headers["x-request-id"]) == ("m", "m-0", "r-7")


def test_the_routers_word_comes_before_the_bodys(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        chat(client, extra_headers={"x-shimmy-model": "other"})
    answer = client.chat.completions.create(
        model="an-alias", messages=QUESTION, max_tokens=2, extra_headers={"x-shimmy-model": "m"}
    )
    assert answer.model == "m"


def test_a_caller_without_the_token(served: Runner) -> None:
    stranger = openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0)
    with stranger, pytest.raises(openai.PermissionDeniedError) as caught:
        chat(stranger)
    assert refusal(caught) == (403, "untrusted_caller", None)


async def test_many_clients_at_once_get_their_own_answers(served: Runner) -> None:
    headers = {"x-shimmy-engine-token": TOKEN}
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="k", default_headers=headers) as client:

        def ask(number: int) -> Any:
            content = f"Say {number}"
            return client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": content}], max_tokens=3, temperature=0
            )

        together = await asyncio.gather(*(ask(number) for number in range(3)))
        alone = [await ask(number) for number in range(3)]
    assert [text(answer) for answer in together] == [text(answer) for answer in alone]


def test_http_errors_are_openais(served: Runner) -> None:
    for response, code in (
        (served.client.get("/v1/nothing"), "not_found"),
        (served.client.get("/v1/responses"), "method_not_allowed"),
        (httpx.post(f"{served.url}/v1/embeddings", json={}, trust_env=False), "untrusted_caller"),
    ):
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert response.json()["error"]["code"] == code
