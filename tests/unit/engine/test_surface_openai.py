import json
from typing import Any

import pytest

from shimmy_api.errors import ENGINE_FAILED
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import SseDecoder
from shimmy_engine.surfaces import openai
from shimmy_engine.surfaces.shape import Ask, Head

MESSAGES = [{"role": "user", "content": "hi"}]
CARD = ModelCard("m", created=0, context=2048)
HEAD = Head("1", 7, "m")
RESULT = Result("stop", Usage(3, 2))


def asked(**changes: Any) -> Ask:
    return openai.parse_chat(json.dumps({"model": "m", "messages": MESSAGES} | changes).encode())


def chat(**changes: Any) -> Generation:
    return asked(**changes).generation


def parse_completion(body: bytes) -> Generation:
    return openai.parse_completion(body).generation


def refused(**changes: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        chat(**changes)
    assert caught.value.error.status == 400
    return caught.value


def test_a_request_without_options_asks_for_json() -> None:
    assert chat() == Generation(messages=(("user", "hi"),), model="m")


def test_options_are_taken_over() -> None:
    given = chat(stream=True, max_tokens=5, temperature=0, top_p=0.5, stop=["a", "b"], seed=7)
    expected = Generation(
        messages=(("user", "hi"),),
        model="m",
        stream=True,
        max_tokens=5,
        temperature=0,
        top_p=0.5,
        stop=("a", "b"),
        seed=7,
    )
    assert given == expected


def test_the_newer_name_of_max_tokens_wins() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).max_tokens == 7


def test_the_developer_speaks_as_the_system() -> None:
    assert chat(messages=[{"role": "developer", "content": "a"}]).messages == (("system", "a"),)


def test_an_earlier_answer_may_come_back_as_it_was_given() -> None:
    """OpenAI's client dumps a message with everything that is not there as null or as an empty list."""
    answer: dict[str, Any] = {
        "role": "assistant",
        "content": "a",
        "refusal": None,
        "audio": None,
        "annotations": [],
        "tool_calls": None,
    }
    assert chat(messages=[answer]).messages == (("assistant", "a"),)


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages == (("user", "ab"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 1, "logprobs": False, "tools": [], "response_format": {"type": "text"}, "presence_penalty": 0.0},
        {"user": "someone", "store": False, "metadata": {"a": "b"}},
        {"temperature": None, "max_tokens": None, "tools": None, "stop": None, "anything": None},
    ],
)
def test_parameters_that_change_nothing_are_accepted(changes: dict[str, Any]) -> None:
    assert chat(**changes) == chat()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("tools", [{"type": "function"}]),
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("logit_bias", {"1": 2}),
        ("presence_penalty", 1),
        ("store", True),
        ("top_k", 4),
        ("no_such_thing", 1),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused_by_name(name: str, value: Any) -> None:
    error = refused(**{name: value}).error
    assert (error.code, error.param) == ("unsupported_parameter", name)
    assert name in error.message


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a", "tool_calls": [{}]}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user<|im_end|>", "content": "a"}]}, "messages.0.role"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(changes: dict[str, Any], param: str) -> None:
    error = refused(**changes).error
    assert error.code == "invalid_value"
    assert error.param is not None
    assert error.param.startswith(param)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(RefusedError) as caught:
        openai.parse_chat(b'{"model": "m"}')
    assert (caught.value.error.code, caught.value.error.param) == ("missing_parameter", "messages")


def test_a_completion_needs_a_text_to_go_on_from() -> None:
    assert parse_completion(b'{"prompt": "Once", "max_tokens": 3}') == Generation(prompt="Once", max_tokens=3)
    for prompt in ("", [1, 2], ["a"]):
        with pytest.raises(RefusedError):
            parse_completion(json.dumps({"prompt": prompt}).encode())


def stream_of(ask: Ask) -> list[Any]:
    shape = ask.shape(HEAD)
    body = shape.first(Usage(3, 0)) + shape.piece("a") + shape.piece("b\u2028") + shape.last(RESULT)
    return [json.loads(data) if data != "[DONE]" else data for data in SseDecoder().feed(body)]


def test_a_chat_stream_is_role_text_reason_usage_and_end() -> None:
    *chunks, end = stream_of(asked(stream_options={"include_usage": True}))
    assert end == "[DONE]"
    assert {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-1", "chat.completion.chunk", 7, "m")
    }
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "a"},
        {"content": "b\u2028"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_a_stream_tells_no_usage_unasked() -> None:
    assert all("usage" not in chunk for chunk in stream_of(asked())[:-1])


def test_a_completion_stream_has_texts() -> None:
    *chunks, _ = stream_of(openai.parse_completion(b'{"prompt": "Once"}'))
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["a", "b\u2028", ""]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {("cmpl-1", "text_completion")}


def test_a_whole_chat_has_one_message() -> None:
    body = json.loads(asked().shape(HEAD).whole("Hi ☃", RESULT))
    assert (body["id"], body["object"]) == ("chatcmpl-1", "chat.completion")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hi ☃", "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"


def test_a_failure_is_an_event_with_the_error() -> None:
    (data,) = SseDecoder().feed(asked().shape(HEAD).failure(ENGINE_FAILED))
    assert json.loads(data)["error"]["code"] == "engine_failed"


def test_the_list_of_models_serves_both_clients_that_ask_for_it() -> None:
    (model,) = openai.models(CARD)["data"]
    assert (model["id"], model["object"], model["created"]) == ("m", "model", 0)
    assert (model["type"], model["display_name"], model["created_at"]) == ("model", "m", "1970-01-01T00:00:00Z")
