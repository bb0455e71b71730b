from hypothesis import given
from hypothesis import strategies as st

from shimmy_api import names
from shimmy_router.fleet import assign_aliases, compile_fleet
from shimmy_router.records import (
    Endpoint,
    InstanceRecord,
    KeysRecord,
    ModelRecord,
    Record,
    SliceRecord,
    TenantRecord,
    parse_slice,
)

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
KEY_A = "sk-shimmy-aaaaaaaa-0123456789abcdef0123456789abcdef"
KEY_B = "sk-shimmy-bbbbbbbb-0123456789abcdef0123456789abcdef"
RECORDS: list[Record] = [
    TenantRecord("a", OLD, "shimmy-a"),
    TenantRecord("b", NEW, "shimmy-b"),
    KeysRecord("a", (KEY_A,), "token-of-tenant-a"),
    KeysRecord("b", (KEY_B,), "token-of-tenant-b"),
    ModelRecord("shimmy-a", "m", OLD, ("gpt", "fast")),
    ModelRecord("shimmy-a", "n", NEW, ("gpt", "slow")),
    ModelRecord("shimmy-b", "m", OLD, ()),
    InstanceRecord("shimmy-a", ("m",), 30),
    InstanceRecord("shimmy-a", ("m", "n"), 90),
    SliceRecord("shimmy-a", "m", (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080))),
    SliceRecord("shimmy-a", "m", (Endpoint("192.0.2.2", 8080, draining=True),)),
]


@given(st.permutations(RECORDS))
def test_the_order_in_which_objects_arrive_does_not_matter(records: list[Record]) -> None:
    assert compile_fleet(records) == compile_fleet(RECORDS)


def test_pods_of_all_instances_that_serve_a_model_go_together_and_a_leaving_one_counts_as_leaving() -> None:
    (model, _) = compile_fleet(RECORDS).tenants[0].models
    assert model.endpoints == (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080, draining=True))
    assert model.timeout_seconds == 90


def test_an_alias_belongs_to_the_oldest_model_that_claims_it() -> None:
    models = [record for record in RECORDS if isinstance(record, ModelRecord) and record.namespace == "shimmy-a"]
    assert assign_aliases(models) == {"m": ("gpt", "fast"), "n": ("slow",)}


def test_no_alias_takes_another_models_own_name() -> None:
    models = [ModelRecord("ns", "older", OLD, ("newer",)), ModelRecord("ns", "newer", NEW, ())]
    assert assign_aliases(models) == {"older": (), "newer": ()}


def test_a_key_that_two_tenants_hold_identifies_neither() -> None:
    shared = [*RECORDS[:2], KeysRecord("a", (KEY_A,), "token-of-tenant-a"), KeysRecord("b", (KEY_A, KEY_B), "x" * 16)]
    assert [tenant.keys for tenant in compile_fleet(shared).tenants] == [(), (KEY_B,)]


def test_a_namespace_that_two_tenants_claim_belongs_to_the_older_one() -> None:
    records = [TenantRecord("late", NEW, "shared"), TenantRecord("early", OLD, "shared")]
    assert [tenant.name for tenant in compile_fleet(records).tenants] == ["early"]


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
    tenant = compile_fleet([*others, *(found for found in slices if found)]).tenants[0]
    expected = (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080))
    assert [model.endpoints for model in tenant.models] == [expected, expected]
