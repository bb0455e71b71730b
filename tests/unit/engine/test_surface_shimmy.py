import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_api.errors import ENGINE_FAILED
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import SseDecoder
from shimmy_engine.surfaces import shimmy
from shimmy_engine.surfaces.choice import surface_of
from shimmy_engine.surfaces.shape import Head

SHAPE = shimmy.GenerateShape(Head("1", 7, "m"))
RESULT = Result("stop", Usage(3, 2))


def parsed(**body: Any) -> Generation:
    return shimmy.parse_generate(json.dumps({"model": "m"} | body).encode()).generation


def test_streams_unless_told_otherwise() -> None:
    assert parsed(prompt="hi") == Generation(messages=(("user", "hi"),), model="m", stream=True)
    assert not parsed(prompt="hi", stream=False).stream


def test_options_are_taken_over() -> None:
    given = parsed(prompt="hi", max_tokens=5, temperature=0.5, top_p=0.5, seed=7, stop="a")
    assert (given.max_tokens, given.temperature, given.top_p, given.seed, given.stop) == (5, 0.5, 0.5, 7, ("a",))


def test_a_prompt_is_a_users_message_unless_it_is_raw() -> None:
    assert parsed(prompt="hi", system="s").messages == (("system", "s"), ("user", "hi"))
    assert parsed(messages=[{"role": "user", "content": "a"}]).messages == (("user", "a"),)
    assert parsed(prompt="hi", raw_prompt=True).prompt == "hi"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": "a", "messages": [{"role": "user", "content": "a"}]},
        {"prompt": "a", "raw_prompt": True, "system": "s"},
        {"prompt": "a", "top_k": 5},
        {"prompt": "a", "max_tokens": 0},
    ],
)
def test_what_cannot_be_served_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        parsed(**body)
    assert caught.value.error.status == 400


def test_a_frame_always_streams() -> None:
    assert shimmy.parse_frame('{"prompt": "hi"}').stream
    with pytest.raises(RefusedError):
        shimmy.parse_frame('{"prompt": "hi", "stream": false}')


def read(body: bytes) -> list[tuple[str, str]]:
    """Type and data of each event, as the HTML standard reads them."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = [line.partition(": ")[::2] for line in block.split("\n")]
        kind = "".join(value for name, value in fields if name == "event")
        events.append((kind, "\n".join(value for name, value in fields if name == "data")))
    return events


def test_a_stream_is_bare_text_then_what_it_came_to() -> None:
    events = read(SHAPE.first(Usage(3, 0)) + SHAPE.piece(" a\n") + SHAPE.piece("b") + SHAPE.last(RESULT))
    assert events[:2] == [("", " a\n"), ("", "b")]
    assert events[2][0] == "done"
    assert json.loads(events[2][1]) == {
        "done": True,
        "model": "m",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    assert events[3] == ("", "[DONE]")


def test_a_failure_is_an_event_of_its_own_type() -> None:
    ((kind, data),) = read(SHAPE.failure(ENGINE_FAILED))
    assert kind == "error"
    assert json.loads(data)["error"]["code"] == "engine_failed"


TEXTS = st.one_of(st.text(min_size=1), st.sampled_from(["[DONE]", "[ERROR] x", '{"done":true}', "[", "\r\n", "\r"]))


@given(TEXTS)
def test_no_text_passes_for_something_else(text: str) -> None:
    frames = shimmy.frames(text)
    assert "".join(frames) == text
    assert not any(frame.startswith('{"') for frame in frames)
    data = list(SseDecoder().feed(SHAPE.piece(text)))
    assert "".join(data) == text.replace("\r\n", "\n").replace("\r", "\n")
    assert not any(item.startswith(("[DONE]", "[ERROR]")) for item in data)


def test_a_whole_answer_has_shimmys_keys() -> None:
    body = json.loads(SHAPE.whole("Hello", RESULT))
    assert (body["response"], body["finish_reason"], body["usage"]["total_tokens"]) == ("Hello", "stop", 5)


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/v1/chat/completions", {}, "openai"),
        ("/v1/nothing", {}, "openai"),
        ("/v1/models/x", {}, "openai"),
        ("/v1/models/x", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/messages", {}, "anthropic"),
        ("/v1/messages/nothing", {}, "anthropic"),
        ("/", {}, "ollama"),
        ("/api/chat", {}, "ollama"),
        ("/api/generate", {"accept": "application/json"}, "ollama"),
        ("/api/generate", {"accept": "text/event-stream"}, "shimmy"),
        ("/api/models", {}, "shimmy"),
        ("/ws/generate", {}, "shimmy"),
    ],
)
def test_every_path_belongs_to_one_api(path: str, headers: dict[str, str], name: str) -> None:
    assert surface_of(path, headers).name == name
