"""The operator says of tokens and aliases what the router does with them, whatever tenants come to say."""

import asyncio
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operator.bench import Bench
from tests.unit.operator.key_sets import ed_key, key_set

from shimmy_api import names
from shimmy_operator.cluster.resources import Reference
from shimmy_router.assembly import assign_aliases, own_tokens
from shimmy_router.claims import TokenClaims
from shimmy_router.records import parse_keys, parse_model, parse_tenant

TENANTS = ("a", "b", "c", "d")
CREATED = dict(zip(TENANTS, (3, 1, 4, 1), strict=True))
ISSUERS = {"id.json": key_set(ed_key("one")), "other.json": key_set(ed_key("two")), "bad.json": "{}"}

checks = st.sampled_from([("sub", "id.json"), ("sub", "id.json"), ("team", "id.json"), ("sub", "other.json")])
values = st.lists(st.sampled_from(["alice", "bob", "carol"]), min_size=1, max_size=3, unique=True)
entries = st.lists(st.tuples(st.sampled_from(["x", "y"]), values), max_size=2)
edits = st.lists(st.tuples(st.sampled_from(TENANTS), checks, entries), min_size=1, max_size=8)


def tokens(check: tuple[str, str], found: list[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    claim, key = check
    common = {"issuer": "https://id.example", "jwks": {"key": key}, "claim": claim}
    return [{**common, "name": f"t{i}", "audience": audience, "values": v} for i, (audience, v) in enumerate(found)]


def put(bench: Bench, key: Reference, spec: dict[str, Any], created: int) -> None:
    metadata = {"name": key.name, "creationTimestamp": f"2026-01-01T00:00:0{created}Z"}
    metadata |= {"namespace": key.namespace} if key.namespace else {}
    live = bench.cluster.objects.get(key, {})
    manifest = {"apiVersion": names.API_VERSION, "kind": key.kind, **live, "metadata": metadata, "spec": spec}
    bench.cluster.put(manifest)


async def settle(bench: Bench, asked: set[Reference]) -> None:
    """Reconcile what a change concerns, until nothing is left to do."""
    while asked:
        bench.time += timedelta(seconds=10)  # messages alone are not written more often
        await bench.run(asked.pop())


def verdicts(bench: Bench) -> dict[tuple[str, str], str]:
    """What the operator says of each entry."""
    found = {}
    for key, manifest in bench.cluster.objects.items():
        if key.kind == "ShimmyTenant":
            for one in manifest["status"].get("tokens") or ():
                word = "some" if one["state"] == "Active" and one["message"] else one["state"]
                found[key.name, one["name"]] = {"Active": "all", "Refused": "none"}.get(word, word)
    return found


def admitted(bench: Bench) -> dict[tuple[str, str], str]:
    """What the router lets in of each entry, from what it sees."""
    objects = bench.cluster.objects
    records = [parse_tenant(manifest) for key, manifest in objects.items() if key.kind == "ShimmyTenant"]
    claims = TokenClaims(lambda name: next((record.created, name) for record in records if record.name == name))
    found = {}
    for record in records:
        mirror = objects[Reference("Secret", "shimmy-system", names.mirrored_keys_secret(record.name))]
        claims.put(record.name, own_tokens(record, parse_keys(mirror), None))
    for record in records:
        let_in = {token.name: token.values for token in claims.admitted(record.name)}
        for entry in record.tokens:
            count = len(let_in.get(entry.name, ()))
            found[record.name, entry.name] = "none" if not count else "all" if count == len(entry.values) else "some"
    return found


async def edit_and_compare(changes: list[tuple[str, tuple[str, str], list[tuple[str, list[str]]]]]) -> None:
    bench = Bench()
    asked: set[Reference] = set()
    bench.environment.relations.listen(asked.add)
    bench.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": names.JWKS, "namespace": "shimmy-system"},
            "data": ISSUERS,
        }
    )
    for name, check, found in changes:
        key = Reference("ShimmyTenant", None, name)
        put(bench, key, {"keys": [], "tokens": tokens(check, found)}, CREATED[name])
        asked.add(key)
        await settle(bench, asked)
        assert verdicts(bench) == admitted(bench)


@given(edits)
@settings(deadline=None, max_examples=40)
def test_the_operator_and_the_router_agree_on_whose_a_token_is(
    changes: list[tuple[str, tuple[str, str], list[tuple[str, list[str]]]]],
) -> None:
    asyncio.run(edit_and_compare(changes))


models = st.dictionaries(
    st.sampled_from(["m1", "m2", "m3", "gpt"]),
    st.tuples(st.lists(st.sampled_from(["gpt", "llama", "m1"]), unique=True), st.integers(0, 2)),
    min_size=1,
)


async def name_and_compare(found: dict[str, tuple[list[str], int]]) -> None:
    bench = Bench()
    tenant = Reference("ShimmyTenant", None, "acme")
    asked: set[Reference] = {tenant}
    bench.environment.relations.listen(asked.add)
    put(bench, tenant, {}, 0)
    for name, (aliases, created) in found.items():
        key = Reference("ShimmyModel", "shimmy-acme", name)
        put(bench, key, {"backend": {"gguf": {"source": "pvc://m/f.gguf"}}, "aliases": aliases}, created)
        asked.add(key)
        await settle(bench, asked)
    manifests = [one for key, one in bench.cluster.objects.items() if key.kind == "ShimmyModel"]
    has = assign_aliases([parse_model(manifest) for manifest in manifests])
    for manifest in manifests:
        name, claimed = manifest["metadata"]["name"], manifest["spec"]["aliases"]
        lost = [alias for alias in claimed if alias not in has[name] and alias != name]
        conditions = {one["type"]: one["reason"] for one in manifest["status"]["conditions"]}
        assert (conditions.get("Consistent") == "AliasTaken") == bool(lost)


@given(models)
@settings(deadline=None, max_examples=40)
def test_the_operator_and_the_router_agree_on_whose_an_alias_is(found: dict[str, tuple[list[str], int]]) -> None:
    asyncio.run(name_and_compare(found))
