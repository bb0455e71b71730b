"""Whatever changes in whatever order: what the index says is what a new one would say of the same records."""

from hypothesis import given
from hypothesis import strategies as st

from shimmy_api import fallback
from shimmy_api.access import ApiKey, TokenAccess
from shimmy_router.fleet import Fleet
from shimmy_router.index import FleetIndex, compile_fleet
from shimmy_router.records import (
    Endpoint,
    FleetRecord,
    InstanceRecord,
    IssuerRecord,
    KeysRecord,
    ModelRecord,
    ObjectKey,
    SliceRecord,
    TenantRecord,
)
from shimmy_router.xds.compiler import Compiler, compile_snapshot
from shimmy_router.xds.resources import CLUSTER, ROUTES, SCOPE

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
KEYS = [f"sk-shimmy-{letter * 8}-0123456789abcdef0123456789abcdef" for letter in "ab"]

NAMES = st.sampled_from(["a", "b"])
TIMES = st.sampled_from([OLD, NEW])
SPACES = st.sampled_from(["shimmy-a", "shimmy-b"])
MODELS = st.sampled_from(["m", "n"])
RULES = st.sampled_from([None, fallback.Fallback(models=("n",)), fallback.Fallback(models=("m", "n"))])
ENTRIES = st.sampled_from([(), (ApiKey(name="one"),), (ApiKey(name="one"), ApiKey(name="two"))])
TOKENS = st.lists(
    st.builds(
        TokenAccess,
        name=st.just("t"),
        issuer=st.sampled_from([None, "https://cluster", "https://other"]),
        audience=st.just("shimmy"),
        claim=st.sampled_from(["sub", "email"]),
        values=st.sampled_from([("x",), ("x", "y")]),
    ),
    max_size=2,
).map(tuple)

RECORDS = st.one_of(
    st.builds(TenantRecord, NAMES, TIMES, SPACES, ENTRIES, TOKENS, fallback=RULES),
    st.builds(
        KeysRecord,
        NAMES,
        st.dictionaries(st.sampled_from(["one", "two"]), st.sampled_from(KEYS)),
        st.sampled_from(["token-of-an-engine", ""]),
        st.dictionaries(st.just("t"), st.sampled_from(['{"keys":[]}', '{"keys":[{}]}'])),
    ),
    st.builds(IssuerRecord, st.just("https://cluster"), st.sampled_from(['{"keys":[]}', '{"keys":[{}]}'])),
    st.builds(
        ModelRecord,
        SPACES,
        MODELS,
        TIMES,
        st.sampled_from([(), ("x",), ("n", "x")]),
        st.booleans(),
        st.sampled_from([(), ("a",), ("a", "b")]),
    ),
    st.builds(InstanceRecord, SPACES, st.sampled_from(["i", "j"]), TIMES, st.just(("m", "n")), fallback=RULES),
    st.builds(
        SliceRecord,
        SPACES,
        MODELS,
        st.sampled_from(["i", "j"]),
        st.sampled_from([(), (Endpoint("192.0.2.1", 80),), (Endpoint("192.0.2.2", 80, draining=True),)]),
    ),
)


def place(record: FleetRecord) -> ObjectKey:
    """Which object a record comes from: the API server has each only once."""
    match record:
        case TenantRecord(name=name):
            return ("", name)
        case KeysRecord(tenant=tenant):
            return ("shimmy-system", tenant)
        case SliceRecord():
            return (record.namespace, f"{record.instance}-{record.model}")
        case IssuerRecord():
            return ("", "cluster")
    return (record.namespace, record.name)


@given(st.lists(st.lists(st.tuples(st.booleans(), RECORDS), max_size=4), max_size=8))
def test_changes_one_by_one_lead_to_the_same_as_all_at_once(rounds: list[list[tuple[bool, FleetRecord]]]) -> None:
    index, compiler = FleetIndex(), Compiler()
    published = compiler.snapshot()
    known: dict[tuple[str, ObjectKey], FleetRecord] = {}
    for changes in rounds:
        for there, record in changes:
            kind, key = type(record).__name__, place(record)
            old, new = known.pop((kind, key), None), record if there else None
            if new:
                known[kind, key] = new
            index.update(kind, key, old, new)
        for name in index.refresh():
            published.apply(compiler.update(name, index.tenant(name)))
        published.apply(compiler.retire())

    fleet = compile_fleet(known.values())
    tenants = (index.tenant(name) for name in sorted(index.names()))
    assert Fleet(tuple(tenant for tenant in tenants if tenant)) == fleet
    assert published.version == compile_snapshot(fleet).version == compiler.snapshot().version


def _feed(index: FleetIndex, *records: FleetRecord) -> list[str]:
    for record in records:
        index.update(type(record).__name__, place(record), None, record)
    return index.refresh()


FLEET: tuple[FleetRecord, ...] = (
    TenantRecord("a", OLD, "shimmy-a", (ApiKey(name="one"),)),
    TenantRecord("b", OLD, "shimmy-b", (ApiKey(name="one"),)),
    TenantRecord("c", OLD, "shimmy-c"),
    KeysRecord("a", {"one": KEYS[0]}, "token-of-an-engine"),
    KeysRecord("b", {"one": KEYS[1]}, "token-of-an-engine"),
    ModelRecord("shimmy-a", "m", OLD),
    ModelRecord("shimmy-c", "s", OLD, shared_with=("b",)),
)


def test_a_change_concerns_its_tenant_and_those_that_share_its_models() -> None:
    index = FleetIndex()
    assert sorted(_feed(index, *FLEET)) == ["a", "b", "c"]
    assert _feed(index, SliceRecord("shimmy-a", "m", "i", (Endpoint("192.0.2.1", 80),))) == ["a"]
    assert _feed(index, SliceRecord("shimmy-c", "s", "i", (Endpoint("192.0.2.2", 80),))) == ["c", "b"]


def test_a_further_pod_of_a_shared_model_concerns_its_owner_only() -> None:
    index = FleetIndex()
    _feed(index, *FLEET, SliceRecord("shimmy-c", "s", "i", (Endpoint("192.0.2.2", 80),)))
    assert _feed(index, SliceRecord("shimmy-c", "s", "j", (Endpoint("192.0.2.3", 80),))) == ["c"]


def test_a_cluster_of_a_shared_model_stays_until_all_tenants_were_compiled() -> None:
    index, compiler = FleetIndex(), Compiler()
    for name in _feed(index, *FLEET):
        compiler.update(name, index.tenant(name))
    shared = FLEET[-1]
    index.update("ModelRecord", place(shared), shared, None)
    owner, user = index.refresh()
    assert not compiler.update(owner, index.tenant(owner))
    changed = compiler.update(user, index.tenant(user))
    assert [resource.type_url for resource in changed.put] == [ROUTES]
    assert (CLUSTER, "c/s") in compiler.retire().drop


def test_another_pod_leaves_routes_and_scopes_alone() -> None:
    index, compiler = FleetIndex(), Compiler()
    for name in _feed(index, *FLEET, SliceRecord("shimmy-a", "m", "i", (Endpoint("192.0.2.1", 80),))):
        compiler.update(name, index.tenant(name))
    _feed(index, SliceRecord("shimmy-a", "m", "j", (Endpoint("192.0.2.2", 80),)))
    changed = compiler.update("a", index.tenant("a"))
    assert not {ROUTES, SCOPE, CLUSTER} & {resource.type_url for resource in changed.put}
    assert len(changed.put) == 1
