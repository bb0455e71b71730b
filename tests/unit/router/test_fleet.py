from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_api import fallback, names
from shimmy_api.access import ApiKey
from shimmy_router.assembly import assign_aliases
from shimmy_router.fleet import Fallback, Hold, Key, Model, Pool, Substitute, Tenant
from shimmy_router.index import compile_fleet
from shimmy_router.records import (
    Endpoint,
    InstanceRecord,
    KeysRecord,
    ModelRecord,
    Record,
    Scaling,
    SliceRecord,
    TenantRecord,
    parse_instance,
    parse_slice,
)

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
KEY_A = "sk-shimmy-aaaaaaaa-0123456789abcdef0123456789abcdef"
KEY_B = "sk-shimmy-bbbbbbbb-0123456789abcdef0123456789abcdef"
DEFAULT = (ApiKey(name="default"),)
RECORDS: list[Record] = [
    TenantRecord("a", OLD, "shimmy-a", DEFAULT),
    TenantRecord("b", NEW, "shimmy-b", DEFAULT),
    TenantRecord("c", OLD, "shimmy-c"),
    KeysRecord("a", {"default": KEY_A}, "token-of-tenant-a"),
    KeysRecord("b", {"default": KEY_B}, "token-of-tenant-b"),
    ModelRecord("shimmy-a", "m", OLD, ("gpt", "fast")),
    ModelRecord("shimmy-a", "n", NEW, ("gpt", "slow")),
    ModelRecord("shimmy-b", "m", OLD),
    ModelRecord("shimmy-c", "m", OLD, all_tenants=True),
    ModelRecord("shimmy-c", "s", NEW, ("fast", "quick"), all_tenants=True),
    InstanceRecord("shimmy-a", "i", OLD, ("m",), 30, weight=3),
    InstanceRecord("shimmy-a", "j", OLD, ("m", "n"), 90, first_byte_seconds=5, retries=2),
    SliceRecord("shimmy-a", "m", "i", (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080))),
    SliceRecord("shimmy-a", "m", "j", (Endpoint("192.0.2.2", 8080, draining=True),)),
    SliceRecord("shimmy-c", "s", "i", (Endpoint("192.0.2.3", 8080),)),
]


def compiled(*records: Record) -> dict[str, Tenant]:
    return {tenant.name: tenant for tenant in compile_fleet(records).tenants}


@given(st.permutations(RECORDS))
def test_the_order_in_which_objects_arrive_does_not_matter(records: list[Record]) -> None:
    assert compile_fleet(records) == compile_fleet(RECORDS)


def test_pods_of_all_instances_that_serve_a_model_go_together_and_a_leaving_one_counts_as_leaving() -> None:
    (model, *_) = compiled(*RECORDS)["a"].models
    assert model.endpoints == (
        Endpoint("192.0.2.1", 8080, weight=3, instance="i"),
        Endpoint("192.0.2.2", 8080, draining=True, instance="j"),
    )
    assert (model.timeout_seconds, model.first_byte_seconds, model.retries) == (90, None, 2)
    assert model.ready


def test_an_alias_belongs_to_the_oldest_model_that_claims_it() -> None:
    models = [record for record in RECORDS if isinstance(record, ModelRecord) and record.namespace == "shimmy-a"]
    assert assign_aliases(models) == {"m": ("gpt", "fast"), "n": ("slow",)}


def test_no_alias_takes_another_models_own_name() -> None:
    models = [ModelRecord("ns", "older", OLD, ("newer",)), ModelRecord("ns", "newer", NEW, ())]
    assert assign_aliases(models) == {"older": (), "newer": ()}


def test_a_key_that_two_tenants_hold_identifies_neither() -> None:
    both = ApiKey(name="other")
    shared: list[Record] = [
        TenantRecord("a", OLD, "shimmy-a", DEFAULT),
        TenantRecord("b", NEW, "shimmy-b", (*DEFAULT, both)),
        KeysRecord("a", {"default": KEY_A}, "token-of-tenant-a"),
        KeysRecord("b", {"default": KEY_A, "other": KEY_B}, "token-of-tenant-b"),
    ]
    assert [tenant.keys for tenant in compile_fleet(shared).tenants] == [(), (Key(KEY_B, KEY_B[:18], "other"),)]


def test_a_key_whose_entry_is_gone_is_denied_before_the_mirror_forgets_it() -> None:
    mirror = KeysRecord("a", {"default": KEY_A}, "token-of-tenant-a")
    assert compiled(TenantRecord("a", OLD, "shimmy-a", DEFAULT), mirror)["a"].keys
    assert not compiled(TenantRecord("a", OLD, "shimmy-a", (ApiKey(name="new"),)), mirror)["a"].keys


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        (None, None),
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T01:00:00.5+01:00", 1767225600.5),
    ],
)
def test_a_key_ends_when_its_entry_says(text: str | None, expires: float | None) -> None:
    policy = ApiKey(name="default", expires_at=text, models=("m",))
    (key,) = compiled(TenantRecord("a", OLD, "shimmy-a", (policy,)), RECORDS[3])["a"].keys
    assert key == Key(KEY_A, KEY_A[:18], "default", expires, frozenset({"m"}))


def test_own_names_and_aliases_come_before_those_of_shared_models() -> None:
    tenants = compiled(*RECORDS)
    assert [(m.name, m.owner, m.aliases, m.shared) for m in tenants["a"].models] == [
        ("m", "a", ("gpt", "fast"), False),
        ("n", "a", ("slow",), False),
        ("s", "c", ("quick",), True),
    ]
    assert [(m.name, m.owner) for m in tenants["c"].models] == [("m", "c"), ("s", "c")]
    shared = tenants["a"].models[2]
    assert (shared.ready, shared.endpoints, shared.cluster) == (True, (), "c/s")


def test_of_two_shared_models_the_older_one_has_the_name() -> None:
    older: list[Record] = [
        TenantRecord("d", NEW, "shimmy-d"),
        ModelRecord("shimmy-d", "s", OLD, shared_with=("a", "x")),
    ]
    tenants = compiled(*RECORDS, *older)
    assert [m.owner for m in tenants["a"].models if m.name == "s"] == ["d"]
    assert [m.owner for m in tenants["b"].models if m.name == "s"] == ["c"]


def test_a_tenants_fallback_names_what_it_can_use_and_an_instances_its_own_namespace() -> None:
    rule = fallback.Fallback(models=("absent", "s", "m"))
    records: list[Record] = [
        TenantRecord("a", OLD, "shimmy-a", DEFAULT, fallback=rule),
        *RECORDS[1:],
        InstanceRecord("shimmy-c", "k", OLD, ("s",), fallback=fallback.Fallback(models=("m",))),
    ]
    own, other, shared = compiled(*records)["a"].models
    c_s, a_m = Substitute("s", "c/s", True, ""), Substitute("m", "a/m", True, "token-of-tenant-a")
    usual = frozenset(rule.when)
    assert (own.fallback, other.fallback) == (Fallback((c_s,), usual), Fallback((c_s, a_m), usual))
    assert shared.fallback is None  # c's own m is hidden by a's


def test_a_namespace_that_two_tenants_claim_belongs_to_the_older_one() -> None:
    records = [TenantRecord("late", NEW, "shared"), TenantRecord("early", OLD, "shared")]
    assert [tenant.name for tenant in compile_fleet(records).tenants] == ["early"]


@pytest.mark.parametrize(("length", "kept"), [(253, True), (254, False)])
def test_a_pods_name_is_one_or_none(length: int, *, kept: bool) -> None:
    target = {"kind": "Pod", "name": "p" * length}
    found = parse_slice(
        {
            "metadata": {"name": "chat-m-x", "namespace": "shimmy-a", "labels": {names.LABEL_MODEL: "m"}},
            "addressType": "IPv4",
            "ports": [{"name": names.ENGINE_PORT_NAME, "port": names.ENGINE_PORT}],
            "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}, "targetRef": target}],
        }
    )
    assert found
    assert bool(found.endpoints[0].pod) == kept


def test_models_that_share_pods_are_each_routed_to_all_of_them() -> None:
    pods = [{"addresses": [address], "conditions": {"ready": True}} for address in ("192.0.2.1", "192.0.2.2")]
    slices = [
        parse_slice(
            {
                "metadata": {"name": f"chat-{model}-x", "namespace": "shimmy-a", "labels": {names.LABEL_MODEL: model}},
                "addressType": "IPv4",
                "ports": [{"name": names.ENGINE_PORT_NAME, "port": names.ENGINE_PORT}],
                "endpoints": pods,
            }
        )
        for model in ("m", "n")
    ]
    others = [record for record in RECORDS if not isinstance(record, SliceRecord)]
    tenant = compiled(*others, *(found for found in slices if found))["a"]
    expected = (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080))
    assert [model.endpoints for model in tenant.models if not model.shared] == [expected, expected]


def scaled(idle: frozenset[str] = frozenset()) -> InstanceRecord:
    scaling = Scaling(hold_seconds=60, most_held=5, idle=idle, cold_seconds={"m": 40})
    return InstanceRecord("shimmy-a", "k", NEW, ("m",), queue_depth=3, scaling=scaling)


def own_model(*records: Record) -> Model:
    (model,) = compiled(TenantRecord("a", OLD, "shimmy-a"), ModelRecord("shimmy-a", "m", OLD), *records)["a"].models
    return model


POD = SliceRecord("shimmy-a", "m", "k", (Endpoint("192.0.2.9", 8080),))


def test_a_model_sleeps_while_load_decides_on_its_pods_and_none_is_there_that_stays() -> None:
    asleep = own_model(scaled())
    assert (asleep.hold, asleep.asleep) == (Hold(60, 5, 40), True)
    assert (asleep.pools, asleep.queue_depth) == ((Pool("k", "k-m"),), 3)
    assert not own_model(scaled(), POD).asleep
    assert own_model(scaled(idle=frozenset({"m"})), POD).asleep
    assert own_model().hold is None
    assert not own_model(InstanceRecord("shimmy-a", "i", OLD, ("m",))).asleep


def instance_manifest(state: str) -> dict[str, Any]:
    status = {"models": [{"name": "m", "state": state, "coldStarts": {"p95Seconds": 40}}]}
    return {
        "metadata": {"namespace": "shimmy-a", "name": "k", "creationTimestamp": NEW},
        "spec": {"models": ["m"], "autoscaling": {"maxReplicas": 2}},
        "status": status,
    }


def test_of_an_instances_status_only_what_concerns_requests_is_kept() -> None:
    scaling = parse_instance(instance_manifest("Idle")).scaling
    assert scaling is not None
    assert (scaling.idle, scaling.cold_seconds) == (frozenset({"m"}), {"m": 40})
    assert parse_instance(instance_manifest("Loading")) == parse_instance(instance_manifest("Ready"))


def test_a_status_of_a_newer_operator_says_nothing_and_costs_no_route() -> None:
    record = parse_instance(instance_manifest("Hibernating"))
    assert record.models == ("m",)
    assert record.scaling is not None
    assert record.scaling.idle == frozenset()
