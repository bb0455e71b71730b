"""Contradictions between objects, and who is looked at again when one of them changes."""

from typing import Any

import pytest
from tests.unit.operator.bench import INSTANCE, MODEL, NS, TENANT, Bench

from shimmy_operator.cluster.resources import Reference

BACKEND = {"gguf": {"source": "pvc://models/tiny.gguf"}}
LENDER = Reference("ShimmyTenant", None, "lender")
LENT = Reference("ShimmyModel", "shimmy-lender", "big")


class Watched(Bench):
    """A bench that tells which objects a change concerns beside itself."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[Reference] = set()
        self.environment.relations.listen(self.asked.add)

    def change(self, key: Reference, spec: dict[str, Any] | None) -> set[Reference]:
        """Write or drop an object; returns whom it concerns."""
        self.asked.clear()
        if spec is None:
            self.cluster.drop(key)
        else:
            self.put(key, spec)
        return set(self.asked)

    def consistent(self, key: Reference) -> tuple[str, str] | None:
        found = self.cluster.objects[key]["status"]["conditions"]
        return next(((one["status"], one["reason"]) for one in found if one["type"] == "Consistent"), None)

    def message(self, key: Reference) -> str:
        found = self.cluster.objects[key]["status"]["conditions"]
        return next(str(one["message"]) for one in found if one["type"] == "Consistent")


@pytest.fixture
async def bench() -> Watched:
    bench = Watched()
    bench.put(TENANT, {})
    bench.put(LENDER, {})
    await bench.run(TENANT, LENDER)
    return bench


async def test_a_tenant_that_names_no_model_has_nothing_to_contradict(bench: Watched) -> None:
    assert bench.consistent(TENANT) is None


NAMES: dict[str, dict[str, Any]] = {
    "a key": {"keys": [{"name": "ci", "models": ["big"]}]},
    "tokens": {"tokens": [{"name": "pods", "audience": "shimmy", "values": ["a"], "models": ["big"]}]},
    "a fallback": {"fallback": {"models": ["big"]}},
}


@pytest.mark.parametrize("what", NAMES)
async def test_a_model_that_a_tenant_names_must_be_its_own_or_shared_with_it(bench: Watched, what: str) -> None:
    bench.put(TENANT, NAMES[what])
    await bench.run(TENANT)
    assert bench.consistent(TENANT) == ("False", "ModelNotFound")
    assert "names model big" in bench.message(TENANT)
    own = Reference("ShimmyModel", NS, "big")
    offers: list[tuple[Reference, dict[str, Any], bool]] = [
        (own, {"backend": BACKEND}, True),
        (LENT, {"backend": BACKEND, "sharedWith": {"tenants": ["acme"]}}, True),
        (LENT, {"backend": BACKEND, "sharedWith": {"allTenants": True}}, True),
        (LENT, {"backend": BACKEND, "sharedWith": {"tenants": ["lender"]}}, False),
    ]
    for key, spec, usable in offers:
        assert TENANT in bench.change(key, spec)
        await bench.run(TENANT)
        assert (bench.consistent(TENANT) == ("True", "Consistent")) is usable
        assert TENANT in bench.change(key, None)
        await bench.run(TENANT)
        assert bench.consistent(TENANT) == ("False", "ModelNotFound")


async def test_a_model_that_nobody_names_and_nobody_shares_concerns_nobody(bench: Watched) -> None:
    bench.put(TENANT, NAMES["a key"])
    assert bench.change(Reference("ShimmyModel", NS, "tiny"), {"backend": BACKEND}) == set()
    assert bench.change(LENT, {"backend": BACKEND}) == set()


async def test_a_status_or_a_backend_is_no_news_to_others(bench: Watched) -> None:
    bench.put(TENANT, NAMES["a key"])
    spec = {"backend": BACKEND, "sharedWith": {"tenants": ["acme"]}}
    assert TENANT in bench.change(LENT, spec)
    bench.asked.clear()
    await bench.run(LENT)
    assert bench.asked == set()
    assert bench.change(LENT, {**spec, "contextLength": 4096}) == set()
    assert TENANT in bench.change(LENT, {"backend": BACKEND, "sharedWith": {"tenants": ["acme", "x"]}})


async def test_an_instance_falls_back_on_models_of_its_own_namespace(bench: Watched) -> None:
    bench.put(INSTANCE, {"models": ["tiny"], "routing": {"fallback": {"models": ["big"]}}})
    bench.put(LENT, {"backend": BACKEND, "sharedWith": {"allTenants": True}})
    await bench.run(INSTANCE)
    assert bench.consistent(INSTANCE) == ("False", "ModelNotFound")
    assert bench.ready(INSTANCE) == ("False", "Waiting")
    assert bench.change(Reference("ShimmyModel", NS, "big"), {"backend": BACKEND}) == {INSTANCE}
    await bench.run(INSTANCE)
    assert bench.consistent(INSTANCE) == ("True", "Consistent")


async def test_of_two_instances_of_a_model_the_older_ones_fallback_counts(bench: Watched) -> None:
    second = Reference("ShimmyInstance", NS, "more")
    for name in ("tiny", "big", "small"):
        bench.put(Reference("ShimmyModel", NS, name), {"backend": BACKEND})
    bench.put(INSTANCE, {"models": ["tiny"], "routing": {"fallback": {"models": ["big"]}}})
    same = {"models": ["big", "tiny"], "routing": {"fallback": {"models": ["big"]}}}
    assert bench.change(second, same) == {INSTANCE}
    await bench.run(INSTANCE, second)
    assert (bench.consistent(INSTANCE), bench.consistent(second)) == (("True", "Consistent"),) * 2
    assert bench.change(second, {**same, "routing": {"fallback": {"models": ["small"]}}}) == {INSTANCE}
    await bench.run(INSTANCE, second)
    assert bench.consistent(INSTANCE) == ("True", "Consistent")
    assert bench.consistent(second) == ("False", "FallbackNotUsed")
    assert "Model tiny is also served by instance chat" in bench.message(second)
    assert bench.change(INSTANCE, {"models": ["tiny"]}) == {second}
    await bench.run(INSTANCE, second)
    assert (bench.consistent(INSTANCE), bench.consistent(second)) == (None, ("True", "Consistent"))


async def test_an_alias_belongs_to_the_model_of_that_name_or_to_the_oldest(bench: Watched) -> None:
    other = Reference("ShimmyModel", NS, "another")
    bench.put(MODEL, {"backend": BACKEND, "aliases": ["gpt", "tiny"]})
    await bench.run(MODEL)
    assert bench.consistent(MODEL) == ("True", "Consistent")
    assert bench.change(other, {"backend": BACKEND, "aliases": ["gpt"]}) == {MODEL}
    await bench.run(MODEL, other)
    # Both are as old as each other: then the names decide.
    assert bench.consistent(other) == ("True", "Consistent")
    assert bench.consistent(MODEL) == ("False", "AliasTaken")
    assert "Alias gpt is a name of model another" in bench.message(MODEL)
    gpt = Reference("ShimmyModel", NS, "gpt")
    assert bench.change(gpt, {"backend": BACKEND}) == {MODEL, other}
    await bench.run(MODEL, other, gpt)
    assert bench.consistent(other) == ("False", "AliasTaken")
    assert bench.consistent(gpt) is None
    bench.change(gpt, None)
    assert bench.change(other, None) == {MODEL}
    await bench.run(MODEL)
    assert bench.consistent(MODEL) == ("True", "Consistent")


async def test_an_older_model_keeps_its_alias(bench: Watched) -> None:
    other = Reference("ShimmyModel", NS, "another")
    for key, created in ((MODEL, "2026-01-01T00:00:00Z"), (other, "2026-01-02T00:00:00Z")):
        metadata = {"name": key.name, "namespace": NS, "creationTimestamp": created}
        spec = {"backend": BACKEND, "aliases": ["gpt"]}
        bench.cluster.put(
            {"apiVersion": "shimmy.dev/v1alpha1", "kind": "ShimmyModel", "metadata": metadata, "spec": spec}
        )
    await bench.run(MODEL, other)
    assert bench.consistent(MODEL) == ("True", "Consistent")
    assert bench.consistent(other) == ("False", "AliasTaken")


async def test_models_of_two_tenants_may_have_one_alias(bench: Watched) -> None:
    for key in (MODEL, LENT):
        bench.put(key, {"backend": BACKEND, "aliases": ["gpt"]})
    await bench.run(MODEL, LENT)
    assert (bench.consistent(MODEL), bench.consistent(LENT)) == (("True", "Consistent"),) * 2


async def test_a_model_says_with_whom_it_is_shared_and_who_does_not_exist(bench: Watched) -> None:
    bench.put(LENT, {"backend": BACKEND, "sharedWith": {"tenants": ["acme", "new"]}})
    await bench.run(LENT)
    sharing = bench.cluster.objects[LENT]["status"]["sharing"]
    assert sharing == {"allTenants": False, "tenants": ["acme"], "unknown": ["new"]}
    assert bench.consistent(LENT) == ("False", "TenantNotFound")
    new = Reference("ShimmyTenant", None, "new")
    assert bench.change(new, {}) == {LENT}
    await bench.run(LENT)
    assert bench.cluster.objects[LENT]["status"]["sharing"]["unknown"] == []
    assert bench.consistent(LENT) == ("True", "Consistent")
    assert bench.change(new, None) == {LENT}


async def test_a_model_of_its_owner_alone_has_no_word_on_sharing(bench: Watched) -> None:
    bench.put(MODEL, {"backend": BACKEND})
    await bench.run(MODEL)
    assert "sharing" not in bench.cluster.objects[MODEL]["status"]
    bench.put(MODEL, {"backend": BACKEND, "sharedWith": {"allTenants": True}})
    await bench.run(MODEL)
    assert bench.cluster.objects[MODEL]["status"]["sharing"]["allTenants"] is True


async def test_many_contradictions_are_not_all_told(bench: Watched) -> None:
    bench.put(TENANT, {"keys": [{"name": "ci", "models": [f"m{number}" for number in range(12)]}]})
    await bench.run(TENANT)
    assert "m9" in bench.message(TENANT)
    assert "m10" not in bench.message(TENANT)
    assert bench.message(TENANT).endswith("And 2 more.")
