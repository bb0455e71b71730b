import json
from typing import Any

import pytest
from openai.types.responses import Response
from pydantic import TypeAdapter

from shimmy_api.errors import ENGINE_FAILED
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import SseDecoder
from shimmy_engine.surfaces import openai_responses
from shimmy_engine.surfaces.shape import Ask, Head

HEAD = Head("1", 7, "m")


def asked(**changes: Any) -> Ask:
    return openai_responses.parse(json.dumps({"model": "m", "input": "hi"} | changes).encode())


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(data) for data in SseDecoder().feed(body)]


def test_a_string_is_a_users_message() -> None:
    assert asked().generation == Generation(messages=(("user", "hi"),), model="m")


def test_instructions_come_first_as_the_system() -> None:
    given = asked(instructions="Be brief.", max_output_tokens=5, temperature=0.5, top_p=0.5, stream=True).generation
    assert given.messages == (("system", "Be brief."), ("user", "hi"))
    assert (given.max_tokens, given.temperature, given.top_p, given.stream) == (5, 0.5, 0.5, True)


def test_a_list_may_hold_the_output_of_an_earlier_response() -> None:
    earlier = json.loads(asked().shape(HEAD).whole("Hello", Result("stop", Usage(1, 1))))["output"]
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    turns = [{"role": "developer", "content": "x"}, *earlier, {"role": "user", "content": parts}]
    assert asked(input=turns).generation.messages == (("system", "x"), ("assistant", "Hello"), ("user", "ab"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", True),
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("tools", [{"type": "web_search"}]),
        ("background", True),
        ("include", ["message.output_text.logprobs"]),
        ("reasoning", {"effort": "high"}),
        ("text", {"format": {"type": "json_object"}}),
        ("truncation", "auto"),
        ("stop", ["a"]),
        ("no_such_thing", 1),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        asked(**{name: value})
    assert (caught.value.error.code, caught.value.error.param) == ("unsupported_parameter", name)


@pytest.mark.parametrize(
    "changes",
    [
        {"input": ""},
        {"input": []},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        {"max_output_tokens": 0},
        {"metadata": {str(number): "" for number in range(17)}},
    ],
)
def test_bad_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        asked(**changes)
    assert caught.value.error.status == 400


@pytest.mark.parametrize(("reason", "status"), [("stop", "completed"), ("length", "incomplete")])
def test_a_whole_response_is_what_openais_client_expects(reason: str, status: str) -> None:
    ask = asked(instructions="Be brief.", metadata={"a": "b"})
    body = ask.shape(HEAD).whole("Hello", Result(reason, Usage(3, 2)))
    response = TypeAdapter(Response).validate_json(body)
    assert (response.id, response.status, response.output_text) == ("resp_1", status, "Hello")
    assert (response.instructions, response.metadata, json.loads(body)["store"]) == ("Be brief.", {"a": "b"}, False)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (3, 2, 5)
    details = response.incomplete_details
    assert (details.reason if details else None) == ("max_output_tokens" if reason == "length" else None)


def test_a_stream_opens_and_closes_response_message_and_part() -> None:
    shape = asked(stream=True).shape(HEAD)
    stream = shape.first(Usage(3, 0)) + shape.piece("Hel") + shape.piece("lo")
    sent = events(stream + shape.last(Result("stop", Usage(3, 2))))
    assert [event["type"] for event in sent] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in sent] == list(range(10))
    assert sent[6]["text"] == "Hello"
    assert sent[-1]["response"] == json.loads(asked().shape(HEAD).whole("Hello", Result("stop", Usage(3, 2))))


def test_a_stream_that_breaks_off_ends_with_a_failed_response() -> None:
    shape = asked(stream=True).shape(HEAD)
    shape.first(Usage(3, 0))
    shape.piece("Hel")
    (event,) = events(shape.failure(ENGINE_FAILED))
    assert (event["type"], event["sequence_number"]) == ("response.failed", 5)
    assert event["response"]["error"]["code"] == "server_error"
    assert event["response"]["output"][0]["content"][0]["text"] == "Hel"
