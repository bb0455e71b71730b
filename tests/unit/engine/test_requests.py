import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_engine.requests import Generation, RefusedError, parse_chat, parse_completion

MESSAGES = [{"role": "user", "content": "hi"}]


def chat(**changes: Any) -> Generation:
    return parse_chat(json.dumps({"model": "m", "messages": MESSAGES} | changes).encode())


def refused(**changes: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        chat(**changes)
    assert caught.value.error.status == 400
    return caught.value


def test_a_request_without_options_asks_for_json() -> None:
    assert chat() == Generation(messages=(("user", "hi"),), model="m")


def test_options_are_taken_over() -> None:
    asked = chat(
        stream=True, stream_options={"include_usage": True}, max_tokens=5, temperature=0, top_p=0.5, stop=["a", "b"]
    )
    assert asked.stream
    assert asked.include_usage
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.stop) == (5, 0, 0.5, ("a", "b"))


def test_the_newer_name_of_max_tokens_wins() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).max_tokens == 7


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages == (("user", "ab"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 1, "logprobs": False, "tools": [], "response_format": {"type": "text"}, "presence_penalty": 0.0},
        {"user": "someone", "metadata": {"a": "b"}},
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
        ({"messages": [{"role": "user", "content": "a", "tool_calls": []}]}, "messages.0.tool_calls"),
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
        parse_chat(b'{"model": "m"}')
    assert (caught.value.error.code, caught.value.error.param) == ("missing_parameter", "messages")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_chat(body)
    assert caught.value.error.code == "invalid_json"


def test_a_zero_character_which_would_break_the_engine_is_refused() -> None:
    assert refused(messages=[{"role": "user", "content": "a\0b"}]).error.code == "invalid_value"


def test_a_completion_needs_a_text_to_go_on_from() -> None:
    assert parse_completion(b'{"prompt": "Once", "max_tokens": 3}') == Generation(prompt="Once", max_tokens=3)
    for prompt in ("", [1, 2], ["a"]):
        with pytest.raises(RefusedError):
            parse_completion(json.dumps({"prompt": prompt}).encode())


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists)
NAMES = st.sampled_from(["messages", "prompt", "stop", "max_tokens", "n", "x"])


def refusal(parse: Callable[[bytes], Generation], body: bytes) -> str:
    try:
        parse(body)
    except RefusedError as error:
        return error.error.message
    return ""


@given(st.dictionaries(NAMES, JSON))
def test_any_json_is_parsed_or_refused_without_its_values(values: dict[str, Any]) -> None:
    secret = "do-not-repeat-me"
    body = json.dumps(values | {"messages": [{"role": "user", "content": [secret]}]}).encode()
    assert secret not in refusal(parse_chat, body)
    assert secret not in refusal(parse_completion, body)
