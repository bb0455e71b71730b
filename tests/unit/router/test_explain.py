import json
from dataclasses import replace

import pytest

from shimmy_api import fallback
from shimmy_api.access import RequestLimits, TenantLimits
from shimmy_router.explain import Json, Question, explain, tenants
from shimmy_router.fleet import Fallback, Fleet, Hold, Key, Model, Substitute, Tenant, Token
from shimmy_router.records import Endpoint

NOW = 1_800_000_000.0
ID = "sk-shimmy-aaaaaaaa"
SECRET = "0123456789abcdef0123456789abcdef"
ENGINE_TOKEN = "engine-token-of-a"
JWKS = '{"keys": []}'
PODS = (Endpoint("192.0.2.1", 8080, pod="m-0", zone="z1", weight=3), Endpoint("192.0.2.2", 8080, draining=True))

OWN = Model("m", "a", ("gpt",), ready=True, endpoints=PODS, engine_token=ENGINE_TOKEN, offered=True)
COLD = Model("cold", "a")
ASLEEP = Model("asleep", "a", hold=Hold(120, 10), asleep=True)
COVERED = Model(
    "covered",
    "a",
    fallback=Fallback((Substitute("m", "a/m", True, ENGINE_TOKEN),), frozenset({fallback.Trigger.NO_POD})),
)
KEYS = (
    Key(f"{ID}-{SECRET}", ID, "default", limits=RequestLimits(concurrent=3)),
    Key(f"sk-shimmy-bbbbbbbb-{SECRET}", "sk-shimmy-bbbbbbbb", "narrow", models=frozenset({"cold"})),
    Key(f"sk-shimmy-cccccccc-{SECRET}", "sk-shimmy-cccccccc", "old", expires=NOW - 1),
)
TOKENS = (Token("ci", "https://issuer.example", "shimmy", "sub", ("job",), JWKS),)
LIMITS = TenantLimits(requests_per_minute=60)
FLEET = Fleet(
    (
        Tenant("a", "shimmy-a", KEYS, TOKENS, (ASLEEP, COLD, COVERED, OWN), LIMITS, priority=5, weight=2),
        Tenant("b", "shimmy-b", KEYS[:1], (), (replace(OWN, shared=True, aliases=(), endpoints=()),)),
        Tenant("shut", "shimmy-shut", (), (), (COLD,)),
    )
)


def asked(tenant: str, model: str, **question: str) -> Json:
    found = explain(FLEET, Question(tenant, model, **question), NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("tenant", "model", "question", "expected"),
    [
        ("a", "m", {}, {"outcome": "Served", "model": "m", "cluster": "a/m"}),
        ("a", "gpt", {"path": "/v1/completions"}, {"outcome": "Served", "model": "m", "cluster": "a/m"}),
        ("b", "m", {}, {"outcome": "Served", "model": "m", "cluster": "a/m"}),
        ("a", "covered", {}, {"outcome": "Served", "model": "m", "cluster": "a/m", "reason": "no_pod"}),
        ("a", "asleep", {}, {"outcome": "Held", "model": "asleep", "cluster": "a/asleep", "seconds": 120}),
        ("a", "gpt:latest", {"path": "/api/chat"}, {"outcome": "Served", "model": "m", "cluster": "a/m"}),
        ("a", "m", {"path": "/ws/generate"}, {"outcome": "Served", "model": "m", "cluster": "a/m"}),
        ("a", "", {"path": "/v1/models"}, {"outcome": "Listed"}),
        ("a", "", {"path": "/api/tags"}, {"outcome": "Listed"}),
    ],
)
def test_it_says_which_pods_serve_a_request(tenant: str, model: str, question: dict[str, str], expected: Json) -> None:
    assert asked(tenant, model, **question)["answer"] == expected


@pytest.mark.parametrize(
    ("tenant", "model", "question", "expected"),
    [
        ("a", "cold", {}, (503, "model_unavailable")),
        ("a", "nothing", {}, (404, "model_not_found")),
        ("b", "cold", {}, (404, "model_not_found")),
        ("a", "m", {"path": "/v1/elsewhere"}, (404, "not_found")),
        ("a", "m", {"path": "/v1/embeddings"}, (501, "unsupported_operation")),
        ("a", "m", {"credential": "narrow"}, (404, "model_not_found")),
        ("a", "m", {"credential": "old"}, (401, "invalid_api_key")),
        ("a", "m", {"credential": "sk-shimmy-dddddddd"}, (401, "invalid_api_key")),
        ("shut", "cold", {}, (401, "invalid_api_key")),
    ],
)
def test_it_says_why_a_request_is_refused(
    tenant: str, model: str, question: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = asked(tenant, model, **question)["answer"]
    assert (answer["outcome"], answer["status"], answer["code"]) == ("Refused", *expected)
    assert answer["message"]
    assert ("retryAfterSeconds" in answer) == (expected[0] == 503)


def test_it_says_what_a_name_means_and_which_pods_stand_behind_it() -> None:
    model = asked("a", "gpt")["model"]
    assert (model["name"], model["by"], model["owner"], model["shared"]) == ("m", "Alias", "a", False)
    first = {"name": "m-0", "address": "192.0.2.1", "port": 8080, "zone": "z1", "state": "Ready", "weight": 3}
    assert model["pods"][0] == first
    assert [pod["state"] for pod in model["pods"]] == ["Ready", "Draining"]


def test_a_shared_models_pods_are_its_owners() -> None:
    model = asked("b", "m")["model"]
    assert (model["by"], model["owner"], model["shared"]) == ("Name", "a", True)
    assert [pod["address"] for pod in model["pods"]] == ["192.0.2.1", "192.0.2.2"]


def test_it_says_which_credentials_may_ask_and_how_much() -> None:
    found = asked("a", "m")
    assert [(c["name"], c["state"], c["mayAsk"]) for c in found["credentials"]] == [
        ("default", "Active", True),
        ("narrow", "Active", False),
        ("old", "Expired", True),
        ("ci", "Active", True),
    ]
    assert found["credentials"][0]["limits"] == {"concurrent": 3}
    assert (found["limits"], found["priority"], found["weight"]) == ({"requestsPerMinute": 60}, 5, 2)


def test_nobody_is_told_of_a_tenant_that_is_not_there() -> None:
    assert explain(FLEET, Question("nobody", "m"), NOW) is None


def test_all_tenants_are_listed_with_what_they_can_ask_for() -> None:
    listed = tenants(FLEET, NOW)["tenants"]
    assert [tenant["name"] for tenant in listed] == ["a", "b", "shut"]
    assert [model["name"] for model in listed[0]["models"]] == ["asleep", "cold", "covered", "m"]
    assert listed[0]["credentials"][0]["id"] == ID


def test_no_secret_is_ever_shown() -> None:
    shown = json.dumps([tenants(FLEET, NOW), *(asked("a", name) for name in ("m", "cold", "covered", "nothing"))])
    for secret in (SECRET, ENGINE_TOKEN, JWKS):
        assert secret not in shown
