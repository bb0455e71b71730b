"""A router for one tenant alone, and the shared one beside it."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from shimmy_api import names
from shimmy_api.access import ApiKey
from shimmy_router.index import FleetIndex, compile_fleet
from shimmy_router.records import ISSUER_KIND, FleetRecord, KeysRecord, ModelRecord, TenantRecord, parse_tenant
from shimmy_router.sources.kubernetes import _collections
from shimmy_router.store import KINDS

OLD = "2026-01-01T00:00:00Z"
KEYS = (ApiKey(name="default"),)
RECORDS: list[FleetRecord] = [
    TenantRecord("own", OLD, "shimmy-own", KEYS, dedicated=True),
    TenantRecord("shared", OLD, "shimmy-shared", KEYS),
    KeysRecord("own", {"default": f"sk-shimmy-aaaaaaaa-{'0' * 32}"}, "token-of-tenant-own"),
    KeysRecord("shared", {"default": f"sk-shimmy-bbbbbbbb-{'0' * 32}"}, "token-of-tenant-shared"),
    ModelRecord("shimmy-own", "m", OLD, all_tenants=True),
    ModelRecord("shimmy-shared", "n", OLD, all_tenants=True),
]


def models(only: str | None) -> dict[str, list[str]]:
    return {tenant.name: [m.name for m in tenant.models] for tenant in compile_fleet(RECORDS, only).tenants}


def test_the_shared_router_neither_serves_it_nor_offers_its_models() -> None:
    assert models(None) == {"shared": ["n"]}


def test_its_own_router_serves_nobody_else_and_nothing_of_others() -> None:
    assert models("own") == {"own": ["m"]}


def test_a_router_of_its_own_serves_nobody_before_the_tenant_has_one() -> None:
    assert models("shared") == {}


def test_everything_is_read_from_its_namespace() -> None:
    for collection in _collections("shimmy-own", "own"):
        assert "/namespaces/shimmy-own/" in collection.path


@pytest.mark.parametrize("tenant", [None, "own"])
def test_every_kind_is_read_for_which_the_store_waits(tenant: str | None) -> None:
    watched = {collection.kind for collection in _collections("shimmy-own", tenant)}
    assert watched == set(KINDS) - {ISSUER_KIND}, "the cluster's issuer is no object"


def packed(entries: dict[str, Any]) -> dict[str, Any]:
    data = {name: base64.b64encode(json.dumps(value).encode()).decode() for name, value in entries.items()}
    return {"metadata": {"name": "shimmy-keys-own", "namespace": "shimmy-own", "resourceVersion": "1"}, "data": data}


def test_the_tenant_comes_with_its_keys() -> None:
    tenant = {
        "metadata": {"name": "own", "creationTimestamp": OLD},
        "spec": {"router": "Dedicated", "priority": 3},
        "status": {"namespace": "shimmy-own"},
    }
    (collection,) = [c for c in _collections("shimmy-own", "own") if c.kind == "ShimmyTenant"]
    found = collection.unpack(packed({names.MIRRORED_TENANT_ENTRY: tenant}))
    assert found is not None
    record = parse_tenant(found)
    assert (record.name, record.namespace, record.priority, record.dedicated) == ("own", "shimmy-own", 3, True)


@pytest.mark.parametrize("entries", [{}, {names.MIRRORED_TENANT_ENTRY: ["no object"]}])
def test_a_secret_without_a_tenant_is_none(entries: dict[str, Any]) -> None:
    (collection,) = [c for c in _collections("shimmy-own", "own") if c.kind == "ShimmyTenant"]
    assert collection.unpack(packed(entries)) is None
    broken = {"data": {names.MIRRORED_TENANT_ENTRY: "no base64"}}
    assert collection.unpack(broken) is None


def test_what_a_tenant_shared_is_withdrawn_when_it_gets_a_router_of_its_own() -> None:
    index = FleetIndex()
    before = TenantRecord("own", OLD, "shimmy-own", KEYS)
    for number, record in enumerate((before, *RECORDS[1:])):
        index.update("any", ("", str(number)), None, record)
    index.refresh()
    sharing = index.tenant("shared")
    assert sharing is not None
    assert [model.name for model in sharing.models] == ["m", "n"]
    index.update("any", ("", "0"), before, replace(before, dedicated=True))
    assert set(index.refresh()) == {"own", "shared"}
    alone = index.tenant("shared")
    assert alone is not None
    assert [model.name for model in alone.models] == ["n"]
    assert index.tenant("own") is None
