"""The Lua that says whom a checked token is about, in LuaJIT as in Envoy."""

from importlib.resources import files
from typing import Any

import pytest
from lupa import luajit21

ISSUER = "https://issuer.example"
SUBJECT = f"{ISSUER} shimmy alice"
ENVOY = """
function run(verified, subjects, said)
  local function get(value) return {get = function(_, _) return value end} end
  envoy_on_request({
    streamInfo = function() return {dynamicMetadata = function() return get(verified) end} end,
    metadata = function() return get(subjects) end,
    headers = function() return {replace = function(_, name, value) said[name] = value end} end,
    respond = function(_, headers) said.status = headers[":status"] end,
  })
end
"""


def said(claims: dict[str, Any], subjects: dict[str, bool] | None) -> dict[str, str]:
    """What the script sets for a token with these claims, and routes that are for these subjects."""
    lua: Any = luajit21.LuaRuntime()
    lua.execute(files("shimmy_router").joinpath("lua", "token.lua").read_text())
    lua.execute(ENVOY)
    found = lua.table()
    routes = None if subjects is None else lua.table_from(subjects)
    lua.globals().run(lua.table_from({"sub": lua.table_from({"iss": ISSUER, **claims})}), routes, found)
    return dict(found.items())


@pytest.fixture
def alice() -> dict[str, Any]:
    return {"aud": "shimmy", "sub": "alice"}


def test_a_subject_for_whom_the_routes_are_comes_in(alice: dict[str, Any]) -> None:
    assert said(alice, {SUBJECT: True}) == {"x-shimmy-key": "sk-none", "x-shimmy-subject": SUBJECT}


@pytest.mark.parametrize("subjects", [None, {}, {f"{ISSUER} shimmy bob": True}])
def test_routes_that_were_found_for_somebody_else_let_nobody_in(
    alice: dict[str, Any], subjects: dict[str, bool] | None
) -> None:
    assert said(alice, subjects)["status"] == "401"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "alice"},
        {"aud": "shimmy"},
        {"aud": "shimmy", "sub": ""},
        {"aud": "shimmy", "sub": 7},
        {"aud": "two words", "sub": "alice"},
        {"aud": "shimmy", "sub": "a\nb"},
    ],
)
def test_a_token_that_does_not_say_whom_it_is_about_is_refused(claims: dict[str, Any]) -> None:
    assert said(claims, {SUBJECT: True}) == {"status": "401"}
