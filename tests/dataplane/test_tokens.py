"""Tokens beside keys: whose they are, and what is none. Nothing of it needs a network."""

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet
from tests.dataplane.issuer import Issuer, tampered, unsigned
from tests.dataplane.plane import HOST, chat, key_of, model, tenant

from devkit.waiting import until

PATH = "/v1/chat/completions"
OTHER_CLAIM = "https://example.com/team"

COMPANY, CLUSTER, STRANGER = (Issuer(f"https://{name}.example") for name in ("login", "cluster", "stranger"))


def access(name: str, value: str, issuer: Issuer | None = COMPANY, **more: Any) -> dict[str, Any]:
    """An entry of spec.tokens."""
    own = {"issuer": issuer.url, "jwks": {}} if issuer else {}
    return {"name": name, "audience": "shimmy", "values": [value], **own, **more}


@pytest.fixture(scope="module", autouse=True)
def with_tokens(fleet: Fleet) -> None:
    """Tenants t and u have people of one company, and v some of the cluster's ServiceAccounts."""
    tokens = [access("people", "alice"), access("guests", "bob", models=["m"]), access("cluster", "sa:t", None)]
    jwks = {"people": COMPANY.jwks, "guests": COMPANY.jwks}
    fleet.objects.write(
        "t",
        [
            *tenant("t", token=TOKEN, jwks=jwks, tokens=tokens),
            *model("t", "m", ports=[fleet.port]),
            *model("t", "big", ports=[fleet.port]),
        ],
    )
    fleet.objects.write(
        "u",
        [
            *tenant("u", token=TOKEN, jwks={"people": COMPANY.jwks}, tokens=[access("people", "eve")]),
            *model("u", "m", ports=[fleet.port]),
        ],
    )
    late = [access("copies", "alice"), access("claims", "dan", claim=OTHER_CLAIM)]
    objects = tenant("v", token=TOKEN, jwks={"copies": COMPANY.jwks, "claims": COMPANY.jwks}, tokens=late)
    objects[0]["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    fleet.objects.write("v", [*objects, *model("v", "m", ports=[fleet.port])])
    issuer = {"kind": "ServiceAccountIssuer", "metadata": {"name": "cluster"}}
    fleet.objects.write("issuer", [{**issuer, "issuer": CLUSTER.url, "jwks": CLUSTER.jwks}])
    until(lambda: ask(fleet, CLUSTER.token("sa:t")).status_code == 200, "tokens", seconds=20)


def ask(fleet: Fleet, token: str, model_name: str = "m", headers: dict[str, str] | None = None) -> httpx.Response:
    with fleet.plane.client(token) as client:
        return client.post(PATH, json=chat(model_name=model_name), headers=headers)


def status(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, "" if response.is_success else response.json()["error"]["code"]


def served(fleet: Fleet, token: str) -> tuple[str, str]:
    """Tenant and key of a request with this token, as the engine has them."""
    response = ask(fleet, token)
    assert status(response) == (200, "")
    (record,) = (r for r in fleet.engine.usage() if r["requestId"] == response.headers["x-request-id"])
    return record["tenant"], record["keyId"]


def models(fleet: Fleet, token: str) -> list[str]:
    with fleet.plane.client(token) as client:
        return [found["id"] for found in client.get("/v1/models").json()["data"]]


def test_a_token_reaches_its_tenants_models_and_its_entry_stands_for_the_keys_id(fleet: Fleet) -> None:
    assert served(fleet, COMPANY.token("alice")) == ("t", "people")
    assert served(fleet, COMPANY.token("eve")) == ("u", "people")
    assert served(fleet, CLUSTER.token("sa:t")) == ("t", "cluster")
    assert models(fleet, COMPANY.token("alice")) == ["big", "m"]
    assert models(fleet, COMPANY.token("eve")) == ["m"]


def test_a_list_of_one_audience_is_that_audience(fleet: Fleet) -> None:
    assert ask(fleet, COMPANY.token("alice", ["shimmy"])).status_code == 200


def test_the_models_of_a_token_may_be_fewer_than_the_tenants(fleet: Fleet) -> None:
    assert served(fleet, COMPANY.token("bob")) == ("t", "guests")
    assert models(fleet, COMPANY.token("bob")) == ["m"]
    assert status(ask(fleet, COMPANY.token("bob"), "big")) == (404, "model_not_found")


@pytest.mark.parametrize(
    "make",
    [
        lambda: COMPANY.token("alice", seconds=-60),
        lambda: COMPANY.token("alice", seconds=None),
        lambda: COMPANY.token("alice", more={"nbf": 4_000_000_000}),
        lambda: COMPANY.token("alice", "another"),
        lambda: COMPANY.token("alice", ["shimmy", "another"]),
        lambda: COMPANY.token("alice", []),
        lambda: COMPANY.token("x alice"),
        lambda: COMPANY.token("alice", "shimmy alice"),
        lambda: COMPANY.token("mallory"),
        lambda: COMPANY.token(["alice"]),
        lambda: COMPANY.token({"alice": "alice"}),
        lambda: COMPANY.token("alice\nx"),
        lambda: COMPANY.token(""),
        lambda: COMPANY.token(None),
        lambda: COMPANY.token("sa:t"),
        lambda: CLUSTER.token("alice"),
        lambda: STRANGER.token("alice"),
        lambda: STRANGER.token("alice", more={"iss": COMPANY.url}),
        lambda: tampered(COMPANY.token("eve"), sub="alice"),
        lambda: unsigned(COMPANY.token("alice")),
        lambda: COMPANY.token("alice")[:-8],
        lambda: COMPANY.token(key_of("a")),
        lambda: COMPANY.token("none"),
        lambda: COMPANY.token("-"),
        lambda: "ey",
        lambda: "eyJhbGciOiJub25lIn0.e30.",
    ],
)
def test_what_is_not_quite_a_token_of_a_tenant_is_refused(fleet: Fleet, make: Callable[[], str]) -> None:
    assert status(ask(fleet, make())) == (401, "invalid_api_key")


def test_a_subject_belongs_to_the_oldest_tenant_and_so_does_an_issuers_claim(fleet: Fleet) -> None:
    assert served(fleet, COMPANY.token("alice")) == ("t", "people")
    assert status(ask(fleet, COMPANY.token("x", more={OTHER_CLAIM: "dan"}))) == (401, "invalid_api_key")
    assert "shimmy_router_denied_tokens 2.0" in fleet.plane.metrics()


def test_keys_and_tokens_are_told_apart_whatever_else_a_request_says(fleet: Fleet) -> None:
    own = {"x-shimmy-key": "sk-none", "x-shimmy-subject": f"{COMPANY.url} shimmy alice"}
    assert ask(fleet, key_of("t"), headers=own).status_code == 200
    assert status(ask(fleet, "nothing", headers=own)) == (401, "invalid_api_key")
    assert status(ask(fleet, COMPANY.token("mallory"), headers={"x-api-key": key_of("t")})) == (401, "invalid_api_key")
    spoofed = ask(fleet, f"{COMPANY.token('alice')} sk-none {key_of('a')}")
    assert spoofed.status_code in {200, 401}
    names = {r["keyId"] for r in fleet.engine.usage() if r["requestId"] == spoofed.headers["x-request-id"]}
    assert names <= {"people"}


def test_the_body_of_a_request_without_a_good_token_is_not_waited_for(fleet: Fleet) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nauthorization: Bearer "
    with socket.create_connection((HOST, fleet.plane.port), timeout=20) as connection:
        connection.sendall(f"{head}{unsigned(COMPANY.token('alice'))}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401")
