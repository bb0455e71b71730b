"""What holds for the parser of every API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_engine.requests import RefusedError
from shimmy_engine.surfaces import anthropic, ollama, openai, openai_responses, shimmy

SECRET = "do-not-repeat-me"
PARSERS: dict[str, Callable[[bytes], Any]] = {
    "chat": openai.parse_chat,
    "completion": openai.parse_completion,
    "response": openai_responses.parse,
    "message": anthropic.parse,
    "count": anthropic.parse_count,
    "ollama chat": ollama.parse_chat,
    "ollama generate": ollama.parse_generate,
    "ollama show": ollama.parse_show,
    "generate": shimmy.parse_generate,
    "frame": lambda body: shimmy.parse_frame(body.decode(errors="surrogateescape")),
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.just(SECRET) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8
)
NAMES = st.sampled_from(
    [
        "input",
        "max_tokens",
        "messages",
        "model",
        "name",
        "options",
        "prompt",
        "raw",
        "stop",
        "stream",
        "system",
        "tools",
    ]
)


def refusal(parse: Callable[[bytes], Any], body: bytes) -> RefusedError | None:
    try:
        parse(body)
    except RefusedError as error:
        return error
    return None


@pytest.mark.parametrize("name", PARSERS)
@given(values=st.dictionaries(NAMES, JSON))
def test_any_json_is_parsed_or_refused_without_its_values(name: str, values: dict[str, Any]) -> None:
    error = refusal(PARSERS[name], json.dumps(values).encode())
    assert error is None or (error.error.status == 400 and SECRET not in error.error.message)


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(name: str, body: bytes) -> None:
    error = refusal(PARSERS[name], body)
    assert error
    assert error.error.code == "invalid_json"


@pytest.mark.parametrize("name", PARSERS)
def test_an_unknown_name_is_refused(name: str) -> None:
    error = refusal(PARSERS[name], b'{"model": "m", "no_such_thing": 1}')
    assert error
    assert (error.error.code, error.error.param) == ("unsupported_parameter", "no_such_thing")


@pytest.mark.parametrize("name", PARSERS)
def test_a_zero_character_which_would_break_the_engine_is_refused(name: str) -> None:
    error = refusal(PARSERS[name], json.dumps({"model": "m", "prompt": "a\0b"}).encode())
    assert error
    assert error.error.code == "invalid_value"
