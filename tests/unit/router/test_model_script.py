"""The Lua that finds a request's model, in LuaJIT as in Envoy, against Python's reading of JSON."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa import luajit21

INVALID_JSON, NO_MODEL, NO_SUCH_NAME = "!invalid-json", "!no-model", "!no-such-name"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,40}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("model"), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def model_in() -> Callable[[bytes], str]:
    # Text stays bytes, as in Envoy.
    lua: Any = luajit21.LuaRuntime(encoding=None)
    lua.execute(files("shimmy_router").joinpath("lua", "model.lua").read_bytes())
    found = lua.globals()[b"model_in"]
    return lambda body: bytes(found(body)).decode()


@given(
    before=st.dictionaries(st.text(), VALUES, max_size=4), name=NAMES, after=VALUES, indent=st.sampled_from([None, 2])
)
def test_the_model_is_found_wherever_it_stands(
    model_in: Callable[[bytes], str], before: dict[str, Any], name: str, after: Any, indent: int | None
) -> None:
    before.pop("model", None)
    body = json.dumps({**before, "model": name, "after": after}, indent=indent)
    assert model_in(body.encode()) == name
    assert model_in(json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")) == name


@given(st.dictionaries(st.text(), VALUES, max_size=6))
def test_a_model_inside_of_something_else_is_none(model_in: Callable[[bytes], str], body: dict[str, Any]) -> None:
    body.pop("model", None)
    assert model_in(json.dumps(body).encode()) == NO_MODEL


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_a_name_or_a_fault_comes_out_of_anything(model_in: Callable[[bytes], str], body: bytes) -> None:
    found = model_in(body)
    assert found in (INVALID_JSON, NO_MODEL, NO_SUCH_NAME) or all(c.isalnum() or c in "._:/-" for c in found)


@given(body=st.dictionaries(st.text(), VALUES, max_size=3), data=st.data())
def test_a_body_that_breaks_off_is_no_json(
    model_in: Callable[[bytes], str], body: dict[str, Any], data: st.DataObject
) -> None:
    body.pop("model", None)
    whole = json.dumps(body | {"model": "m"}).encode()
    end = data.draw(st.integers(0, whole.index(b'"m"') + 2))
    assert model_in(whole[:end]) == INVALID_JSON


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (r'{"model": "org\/name"}', "org/name"),
        (r'{"model": "\u0067pt\u002d4"}', "gpt-4"),
        (r'{"model": "\u00fc"}', NO_SUCH_NAME),
        (r'{"model": "a\nb"}', NO_SUCH_NAME),
        ('{"model": "a\r\nb"}', NO_SUCH_NAME),
        ('{"model": "a\x00"}', NO_SUCH_NAME),
        ('{"model": "!no-model"}', NO_SUCH_NAME),
        ('{"model": ""}', NO_MODEL),
        ('{"model": null}', NO_MODEL),
        ('{"model": 5}', NO_MODEL),
        ('{"model": ["m"]}', NO_MODEL),
        ('{"model": "first", "model": "second"}', "first"),
        ('{"a": 1 "model": "m"}', INVALID_JSON),
        ('{"a" 1, "model": "m"}', INVALID_JSON),
        ("{,}", INVALID_JSON),
        ("[]", INVALID_JSON),
        ("", INVALID_JSON),
        ('\ufeff{"model": "m"}', INVALID_JSON),
    ],
)
def test_examples(model_in: Callable[[bytes], str], body: str, expected: str) -> None:
    assert model_in(body.encode()) == expected
