"""A tenant's credentials against a cluster in memory."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.bench import NS, TENANT, Bench
from tests.unit.operator.key_sets import ec_key, key_set

from shimmy_api import names
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.keys import new_key
from shimmy_operator.reconcile.relations import key_topic

OTHER = Reference("ShimmyTenant", None, "other")
PEOPLE = {
    "name": "people",
    "issuer": "https://id.example",
    "jwks": {"key": "id.json"},
    "audience": "shimmy",
    "values": ["alice"],
}


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    bench.put(TENANT, {"keys": [{"name": "default"}]})
    await bench.run(TENANT)
    bench.cluster.writes.clear()
    bench.cluster.events.clear()
    return bench


def secret(name: str, key: str, namespace: str = NS) -> Manifest:
    labels = {names.LABEL_PART_OF: names.PART_OF}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    data = {"key": base64.b64encode(key.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def issuers(**entries: str) -> Manifest:
    metadata = {"name": "shimmy-jwks", "namespace": "shimmy-system"}
    data = {name.replace("_", "."): value for name, value in entries.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def mirror(bench: Bench, tenant: str = "acme") -> dict[str, str]:
    data: dict[str, str] = bench.child("Secret", f"shimmy-keys-{tenant}", "shimmy-system")["data"]
    return {name: base64.b64decode(value).decode() for name, value in data.items() if name != "engineToken"}


def states(bench: Bench, tenant: Reference = TENANT, what: str = "keys") -> dict[str, str]:
    return {one["name"]: one["state"] for one in bench.cluster.objects[tenant]["status"][what]}


def condition(bench: Bench, kind: str, key: Reference = TENANT) -> dict[str, Any] | None:
    found = bench.cluster.objects[key]["status"]["conditions"]
    return next((one for one in found if one["type"] == kind), None)


def told(bench: Bench) -> list[str]:
    return [event["reason"] for event in bench.cluster.events]


async def test_a_secret_of_the_users_is_used_and_never_changed(bench: Bench) -> None:
    key = new_key()
    own = bench.cluster.put(secret("vault", key))
    bench.put(TENANT, {"keys": [{"name": "default"}, {"name": "vault", "secretName": "vault"}]})
    await bench.run(TENANT)
    assert mirror(bench)["key.vault"] == key
    assert bench.child("Secret", "vault") == own
    bench.put(TENANT, {"keys": [{"name": "default"}]})
    await bench.run(TENANT)
    assert "key.vault" not in mirror(bench)
    assert bench.child("Secret", "vault") == own
    assert told(bench) == ["KeyAccepted", "KeyRevoked"]


async def test_a_missing_secret_holds_up_no_other_key_and_is_used_when_it_comes(bench: Bench) -> None:
    bench.put(TENANT, {"keys": [{"name": "default"}, {"name": "vault", "secretName": "vault"}]})
    await bench.run(TENANT)
    assert bench.ready(TENANT) == ("False", "KeyMissing")
    assert states(bench) == {"default": "Active", "vault": "Missing"}
    assert set(mirror(bench)) == {"key.default"}
    bench.cluster.put(secret("vault", new_key()))
    await bench.run(TENANT)
    assert bench.ready(TENANT) == ("True", "Provisioned")
    assert set(mirror(bench)) == {"key.default", "key.vault"}
    bench.cluster.drop(Reference("Secret", NS, "vault"))
    await bench.run(TENANT)
    assert set(mirror(bench)) == {"key.default"}


async def test_a_key_that_becomes_the_users_own_leaves_no_generated_one_behind(bench: Bench) -> None:
    bench.cluster.put(secret("vault", new_key()))
    bench.put(TENANT, {"keys": [{"name": "default", "secretName": "vault"}]})
    await bench.run(TENANT)
    assert Reference("Secret", NS, "shimmy-key-default") not in bench.cluster.objects


async def test_keys_are_rotated_with_an_overlap(bench: Bench) -> None:
    old = mirror(bench)["key.default"]
    bench.put(TENANT, {"keys": [{"name": "default"}, {"name": "next"}]})
    await bench.run(TENANT)
    both = mirror(bench)
    assert both["key.default"] == old
    bench.put(TENANT, {"keys": [{"name": "next"}]})
    await bench.run(TENANT)
    assert mirror(bench) == {"key.next": both["key.next"]}
    assert Reference("Secret", NS, "shimmy-key-default") not in bench.cluster.objects
    assert told(bench) == ["KeyCreated", "KeyRevoked"]


async def test_a_key_is_revoked_though_the_engines_token_is_gone(bench: Bench) -> None:
    token = bench.child("Secret", "shimmy-engine-token")
    bench.cluster.put({**token, "data": {}})
    bench.put(TENANT, {"keys": [{"name": "next"}]})
    await bench.run(TENANT)
    assert bench.ready(TENANT) == ("False", "EngineTokenMissing")
    assert set(mirror(bench)) == {"key.next"}


async def test_a_key_ends_at_its_time_and_is_accepted_again_with_a_later_one(bench: Bench) -> None:
    key = mirror(bench)["key.default"]
    bench.put(TENANT, {"keys": [{"name": "default", "expiresAt": "2026-01-01T00:01:00Z"}]})
    await bench.run(TENANT)
    assert bench.delays == [60]
    assert mirror(bench) == {"key.default": key}
    bench.time += timedelta(seconds=60)
    await bench.run(TENANT, TENANT)
    assert mirror(bench) == {}
    assert states(bench) == {"default": "Expired"}
    assert bench.ready(TENANT) == ("True", "Provisioned")
    assert bench.delays == [60]
    bench.put(TENANT, {"keys": [{"name": "default", "expiresAt": "2026-02-01T00:00:00Z"}]})
    await bench.run(TENANT)
    assert mirror(bench) == {"key.default": key}
    assert told(bench) == ["KeyExpired", "KeyAccepted"]


async def test_no_secret_is_made_for_a_key_that_has_ended() -> None:
    bench = Bench()
    bench.put(TENANT, {"keys": [{"name": "old", "expiresAt": "2025-01-01T00:00:00Z"}]})
    await bench.run(TENANT)
    assert states(bench) == {"old": "Expired"}
    assert Reference("Secret", NS, "shimmy-key-old") not in bench.cluster.objects


async def test_a_key_that_two_tenants_hold_is_told_to_both_and_no_longer_when_one_lets_go(bench: Bench) -> None:
    asked: list[Reference] = []
    bench.environment.relations.listen(asked.append)
    bench.cluster.put(secret("taken", mirror(bench)["key.default"], "shimmy-other"))
    bench.put(OTHER, {"keys": [{"name": "taken", "secretName": "taken"}]})
    await bench.run(OTHER)
    assert TENANT in asked
    await bench.run(TENANT, OTHER)
    assert states(bench) == {"default": "Refused"}
    assert states(bench, OTHER) == {"taken": "Refused"}
    found = condition(bench, "Consistent")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "KeyNotUnique")
    asked.clear()
    bench.put(OTHER, {"keys": []})
    await bench.run(OTHER)
    assert TENANT in asked
    await bench.run(TENANT)
    assert states(bench) == {"default": "Active"}
    assert condition(bench, "Consistent") is None


async def test_a_key_is_known_as_taken_while_its_mirror_moves(bench: Bench) -> None:
    key = mirror(bench)["key.default"]
    bench.put(TENANT, {"keys": [{"name": "default"}], "router": "Dedicated"})
    await bench.run(TENANT)
    assert bench.environment.relations.telling(key_topic(key)) == {TENANT}
    bench.cluster.put(secret("taken", key, "shimmy-other"))
    bench.put(OTHER, {"keys": [{"name": "taken", "secretName": "taken"}]})
    await bench.run(OTHER)
    assert bench.environment.relations.telling(key_topic(key)) == {TENANT, OTHER}


async def test_an_issuers_keys_are_mirrored_and_follow_the_config_map(bench: Bench) -> None:
    first, second = ec_key("one"), ec_key("two")
    bench.put(TENANT, {"tokens": [PEOPLE]})
    await bench.run(TENANT)
    assert bench.ready(TENANT) == ("False", "IssuerKeysMissing")
    assert set(mirror(bench)) == {"key.default"}
    for keys in ((first,), (first, second)):
        bench.cluster.put(issuers(id_json=key_set(*keys)))
        bench.time += timedelta(seconds=10)
        await bench.run(TENANT)
        assert bench.ready(TENANT) == ("True", "Provisioned")
        assert all(key["kid"] in mirror(bench)["jwks.people"] for key in keys)
        assert bench.cluster.objects[TENANT]["status"]["tokens"] == [
            {"name": "people", "state": "Active", "keys": len(keys), "message": ""}
        ]
    bench.cluster.put(issuers(id_json=key_set({**first, "d": "c2VjcmV0"})))
    await bench.run(TENANT)
    assert bench.ready(TENANT) == ("False", "IssuerKeysInvalid")
    assert set(mirror(bench)) == {"key.default"}


async def test_of_two_tenants_with_one_value_of_an_issuer_the_older_one_has_it(bench: Bench) -> None:
    asked: list[Reference] = []
    bench.environment.relations.listen(asked.append)
    bench.cluster.put(issuers(id_json=key_set(ec_key())))
    for key, spec in ((TENANT, {"tokens": [PEOPLE]}), (OTHER, {"keys": [], "tokens": [PEOPLE]})):
        bench.put(key, spec)
        await bench.run(key)
    assert states(bench, what="tokens") == {"people": "Active"}
    assert states(bench, OTHER, "tokens") == {"people": "Refused"}
    assert mirror(bench, "other") == {}
    asked.clear()
    bench.put(TENANT, {})
    assert OTHER in asked
    await bench.run(TENANT, OTHER)
    assert states(bench, OTHER, "tokens") == {"people": "Active"}
    assert "jwks.people" in mirror(bench, "other")


async def test_an_older_tenant_that_nobody_can_read_is_in_nobodys_way(bench: Bench) -> None:
    bench.cluster.put(issuers(id_json=key_set(ec_key())))
    bench.put(TENANT, {"tokens": [{**PEOPLE, "values": []}]})
    bench.put(OTHER, {"keys": [], "tokens": [PEOPLE]})
    await bench.run(TENANT, OTHER)
    assert bench.ready(TENANT) == ("False", "SpecInvalid")
    assert states(bench, OTHER, "tokens") == {"people": "Active"}


async def test_credentials_at_rest_cost_no_write_and_no_event(bench: Bench) -> None:
    bench.cluster.put(issuers(id_json=key_set(ec_key())))
    bench.cluster.put(secret("vault", new_key()))
    later = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=400)).isoformat()
    keys = [
        {"name": "default", "models": ["absent"]},
        {"name": "vault", "secretName": "vault", "expiresAt": later},
        {"name": "missing", "secretName": "missing"},
        {"name": "old", "expiresAt": "2020-01-01T00:00:00Z"},
    ]
    bench.put(TENANT, {"keys": keys, "tokens": [PEOPLE]})
    await bench.run(TENANT)
    bench.cluster.writes.clear()
    bench.cluster.events.clear()
    bench.time += timedelta(days=1)
    await bench.run(TENANT, TENANT)
    assert (bench.cluster.writes, bench.cluster.events) == ([], [])


async def test_no_key_is_in_a_status_or_an_event(bench: Bench) -> None:
    key, odd = new_key(), "sk-shimmy-but-not-quite"
    bench.cluster.put(secret("vault", key))
    bench.cluster.put(secret("odd", odd))
    bench.put(TENANT, {"keys": [{"name": "vault", "secretName": "vault"}, {"name": "odd", "secretName": "odd"}]})
    await bench.run(TENANT)
    text = repr((bench.cluster.objects[TENANT]["status"], bench.cluster.events))
    assert "KeyInvalid" in text
    assert key not in text
    assert odd not in text
