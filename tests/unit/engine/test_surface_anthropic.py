import json
from typing import Any

import pytest
from anthropic.types import Message
from pydantic import TypeAdapter

from shimmy_api.errors import (
    BODY_TOO_LARGE,
    DRAINING,
    ENGINE_FAILED,
    MODEL_NOT_FOUND,
    QUEUE_FULL,
    UNTRUSTED_CALLER,
    ApiError,
)
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import SseDecoder
from shimmy_engine.surfaces import anthropic
from shimmy_engine.surfaces.shape import Ask, Head

HEAD = Head("1", 7, "m")
BODY = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def asked(**changes: Any) -> Ask:
    return anthropic.parse(json.dumps(BODY | changes).encode())


def test_a_message_asks_for_json() -> None:
    assert asked().generation == Generation(messages=(("user", "hi"),), model="m", max_tokens=5)


def test_options_are_taken_over() -> None:
    given = asked(temperature=0.5, top_p=0.5, stop_sequences=["a", "b"], stream=True).generation
    assert (given.temperature, given.top_p, given.stop, given.stream) == (0.5, 0.5, ("a", "b"), True)


@pytest.mark.parametrize(
    "system",
    [
        "Be brief.",
        [{"type": "text", "text": "Be ", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "brief."}],
    ],
)
def test_the_system_text_may_be_a_string_or_blocks(system: Any) -> None:
    assert asked(system=system).generation.messages[0] == ("system", "Be brief.")


def test_an_earlier_answer_may_come_back_as_it_was_given() -> None:
    earlier = json.loads(asked().shape(HEAD).whole("Hello", Result("stop", Usage(1, 1))))["content"]
    turns = [*BODY["messages"], {"role": "assistant", "content": earlier}, {"role": "user", "content": "b"}]  # type: ignore[misc]
    assert asked(messages=turns).generation.messages == (("user", "hi"), ("assistant", "Hello"), ("user", "b"))


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"user_id": "u"}, "service_tier": "auto"},
        {"tools": [], "tool_choice": {"type": "auto"}},
        {"thinking": {"type": "disabled"}, "system": None},
    ],
)
def test_parameters_that_change_nothing_are_accepted(changes: dict[str, Any]) -> None:
    assert asked(**changes).generation == asked().generation


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"name": "f", "input_schema": {}}]),
        ("thinking", {"type": "enabled", "budget_tokens": 1024}),
        ("top_k", 5),
        ("seed", 1),
        ("container", "c"),
        ("output_config", {"format": {}}),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        asked(**{name: value})
    assert (caught.value.error.code, caught.value.error.param) == ("unsupported_parameter", name)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "messages"),
        ({"stop_sequences": [""]}, "stop_sequences.0"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as caught:
        asked(**changes)
    assert caught.value.error.param is not None
    assert caught.value.error.param.startswith(param)


def test_a_count_needs_no_max_tokens() -> None:
    body = {"model": "m", "system": "Be brief.", "messages": BODY["messages"]}
    parsed = anthropic.parse_count(json.dumps(body).encode())
    assert parsed == Generation(messages=(("system", "Be brief."), ("user", "hi")), model="m")


@pytest.mark.parametrize(
    ("result", "reason", "stop"),
    [
        (Result("stop", Usage(3, 2)), "end_turn", None),
        (Result("length", Usage(3, 2)), "max_tokens", None),
        (Result("stop", Usage(3, 2), stop="\n\n"), "stop_sequence", "\n\n"),
    ],
)
def test_a_whole_message_is_what_anthropics_client_expects(result: Result, reason: str, stop: str | None) -> None:
    message = TypeAdapter(Message).validate_json(asked().shape(HEAD).whole("Hello", result))
    assert (message.id, message.model, message.role) == ("msg_1", "m", "assistant")
    assert [(block.type, block.text) for block in message.content if block.type == "text"] == [("text", "Hello")]
    assert (message.stop_reason, message.stop_sequence) == (reason, stop)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 2)


def test_a_stream_has_anthropics_sequence_of_events() -> None:
    shape = asked(stream=True).shape(HEAD)
    stream = shape.first(Usage(3, 0)) + shape.piece("Hel") + shape.piece("lo")
    stream += shape.last(Result("stop", Usage(3, 2), stop="X"))
    assert [line[7:] for line in stream.decode().split("\n") if line.startswith("event: ")] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    sent = [json.loads(data) for data in SseDecoder().feed(stream)]
    assert sent[0]["message"]["usage"]["input_tokens"] == 3
    assert sent[0]["message"]["content"] == []
    assert sent[3]["delta"] == {"type": "text_delta", "text": "Hel"}
    assert sent[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "X"}
    assert sent[-2]["usage"]["output_tokens"] == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiError(400, "x", "y"), "invalid_request_error"),
        (ApiError(405, "x", "y"), "invalid_request_error"),
        (UNTRUSTED_CALLER, "permission_error"),
        (MODEL_NOT_FOUND, "not_found_error"),
        (BODY_TOO_LARGE, "request_too_large"),
        (QUEUE_FULL, "rate_limit_error"),
        (ENGINE_FAILED, "api_error"),
        (DRAINING, "overloaded_error"),
    ],
)
def test_errors_have_anthropics_types_and_our_codes(error: ApiError, kind: str) -> None:
    body = json.loads(anthropic.ANTHROPIC.error(error, "r-1"))
    details = {"error_code": error.code}
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": error.message, "details": details},
        "request_id": "r-1",
    }


def test_a_failure_in_a_stream_is_an_error_event() -> None:
    event = asked().shape(HEAD).failure(ENGINE_FAILED)
    assert event.startswith(b"event: error\n")
    assert b'"api_error"' in event
