from typing import Any

import pytest
from multidict import CIMultiDict

from shimmy_meter.front_proxy import ConfigError, FrontProxy, User

DATA = {
    "requestheader-client-ca-file": "PEM",
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}
HEADERS = CIMultiDict([("x-remote-user", "anna"), ("X-Remote-Group", "a"), ("X-Remote-Group", "b")])


def certificate(name: str) -> dict[str, Any]:
    return {"subject": ((("organizationName", "o"),), (("commonName", name),))}


def test_the_front_proxy_says_who_calls() -> None:
    proxy = FrontProxy.read(DATA)
    assert proxy.user(certificate("front-proxy-client"), HEADERS) == User(
        "anna", "", ("a", "b", "system:authenticated")
    )


def test_extra_names_are_decoded_and_in_small_letters() -> None:
    headers = HEADERS.copy()
    headers.add("X-Remote-Extra-Example.org%2FScopes", "1")
    headers.add("X-Remote-Extra-Example.org%2FScopes", "2")
    found = FrontProxy.read(DATA).user(certificate("front-proxy-client"), headers)
    assert found is not None
    assert found.extra == (("example.org/scopes", ("1", "2")),)


def test_a_uid_counts_only_where_the_server_has_a_header_for_it() -> None:
    headers = HEADERS.copy()
    headers.add("X-Remote-Uid", "7")
    shown = certificate("front-proxy-client")
    unknown = FrontProxy.read(DATA).user(shown, headers)
    known = FrontProxy.read(DATA | {"requestheader-uid-headers": '["X-Remote-Uid"]'}).user(shown, headers)
    assert (unknown and unknown.uid, known and known.uid) == ("", "7")


@pytest.mark.parametrize("shown", [None, {}, certificate("other"), {"subject": ()}])
def test_nobody_else_does(shown: dict[str, Any] | None) -> None:
    assert FrontProxy.read(DATA).user(shown, HEADERS) is None


def test_without_allowed_names_the_authority_is_enough() -> None:
    proxy = FrontProxy.read(DATA | {"requestheader-allowed-names": "[]"})
    assert proxy.user(certificate("other"), HEADERS) == User("anna", "", ("a", "b", "system:authenticated"))
    assert proxy.user(None, HEADERS) is None


def test_a_proxy_that_names_nobody() -> None:
    assert FrontProxy.read(DATA).user(certificate("front-proxy-client"), CIMultiDict()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"requestheader-client-ca-file": " "},
        {"requestheader-username-headers": "[]"},
        {"requestheader-username-headers": "x"},
        {"requestheader-group-headers": '{"a": 1}'},
    ],
)
def test_a_config_map_that_does_not_say(change: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        FrontProxy.read(DATA | change)


@pytest.mark.parametrize(
    ("name", "given", "groups"),
    [
        ("anna", [], ("system:authenticated",)),
        ("anna", ["system:authenticated", "a"], ("system:authenticated", "a")),
        ("anna", ["system:unauthenticated"], ("system:unauthenticated",)),
        ("system:anonymous", [], ()),
    ],
)
def test_every_user_but_the_anonymous_one_is_authenticated(
    name: str, given: list[str], groups: tuple[str, ...]
) -> None:
    headers = CIMultiDict([("X-Remote-User", name), *(("X-Remote-Group", group) for group in given)])
    found = FrontProxy.read(DATA).user(certificate("front-proxy-client"), headers)
    assert found == User(name, "", groups)
