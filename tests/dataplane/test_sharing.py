"""Models that one tenant shares with another, and keys that reach some models only."""

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import chat, key_of, model, tenant

from devkit.waiting import until

PATH = "/v1/chat/completions"
FULL, NARROW = key_of("p"), key_of("p", number=1)


@pytest.fixture(scope="module", autouse=True)
def with_sharing(fleet: Fleet) -> None:
    """Tenant o has no key and shares its m with p, whose own engines would want another token."""
    shared = model("o", "m", aliases=["common"], ports=[fleet.port])
    shared[0]["spec"]["sharedWith"] = {"tenants": ["p"]}
    fleet.objects.write("o", [*tenant("o", token=TOKEN, keys=[]), *shared])
    own = tenant("p", token="p" * 32, keys=[FULL, NARROW], policies={"1": {"models": ["m"]}})
    fleet.objects.write("p", [*own, *model("p", "own")])
    until(lambda: ask(fleet, FULL, "m").status_code == 200, "the shared model", seconds=20)


def ask(fleet: Fleet, key: str, model_name: str) -> httpx.Response:
    with fleet.plane.client(key) as client:
        return client.post(PATH, json=chat(model_name=model_name))


def listed(fleet: Fleet, key: str) -> list[str]:
    with fleet.plane.client(key) as client:
        return [found["id"] for found in client.get("/v1/models").json()["data"]]


def test_a_shared_model_is_served_by_its_owners_pods_and_counted_for_the_tenant_that_asks(fleet: Fleet) -> None:
    response = ask(fleet, FULL, "m")
    (record,) = (r for r in fleet.engine.usage() if r["requestId"] == response.headers["x-request-id"])
    assert (record["tenant"], record["model"]) == ("p", "m")
    assert ask(fleet, FULL, "common").status_code == 200
    assert listed(fleet, FULL) == ["common", "m", "own"]


def test_others_do_not_see_it(fleet: Fleet) -> None:
    assert ask(fleet, key_of("b"), "common").status_code == 404
    assert "common" not in listed(fleet, key_of("b"))


def test_a_key_reaches_the_models_that_it_names_and_no_others(fleet: Fleet) -> None:
    assert ask(fleet, NARROW, "m").status_code == 200
    assert (ask(fleet, NARROW, "own").status_code, ask(fleet, FULL, "own").status_code) == (404, 503)
    assert listed(fleet, NARROW) == ["common", "m"]


def test_a_model_that_is_no_longer_shared_is_gone_at_once_and_its_owner_keeps_it(fleet: Fleet) -> None:
    private = [*tenant("o", token=TOKEN), *model("o", "m", ports=[fleet.port])]
    fleet.objects.write("o", private)
    until(lambda: ask(fleet, FULL, "m").status_code == 404, "the end of sharing", seconds=10)
    assert ask(fleet, key_of("o"), "m").status_code == 200
