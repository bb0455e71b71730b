"""A tenant that has a router of its own, and one that had."""

import base64
import json

import pytest
from tests.unit.operator.bench import INSTANCE, NS, TENANT, Bench
from tests.unit.operator.samples import CONTEXT

from shimmy_api import names
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.handlers.routing import concerned
from shimmy_operator.reconcile.router import learn_authorities
from shimmy_operator.render.router import NAME

KINDS = ("Deployment", "PodDisruptionBudget", "RoleBinding", "Service")
ADDRESS = f"http://{NAME}.{NS}.svc/v1"
MIRROR = names.mirrored_keys_secret("acme")
ROUTER_NAMESPACE = CONTEXT.router_namespace


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    bench.put(TENANT, {"router": "Dedicated", "limits": {"concurrent": 3}})
    await bench.run(TENANT)
    return bench


def has(bench: Bench, kind: str, name: str = NAME, namespace: str = NS) -> bool:
    return Reference(kind, namespace, name) in bench.cluster.objects


def peers(bench: Bench) -> list[Manifest]:
    """Whom the engines let in."""
    (rule,) = bench.child("NetworkPolicy", "shimmy-engines")["spec"]["ingress"]
    found: list[Manifest] = rule["from"]
    return found


async def test_it_is_made_and_its_address_told(bench: Bench) -> None:
    assert [kind for kind in KINDS if has(bench, kind)] == list(KINDS)
    assert bench.cluster.objects[TENANT]["status"]["endpoint"] == ADDRESS


async def test_reconciling_again_writes_nothing(bench: Bench) -> None:
    bench.cluster.writes.clear()
    await bench.run(TENANT)
    assert bench.cluster.writes == []


async def test_instances_tell_its_address(bench: Bench) -> None:
    bench.put(INSTANCE, {"models": ["tiny"]})
    await bench.run(INSTANCE)
    assert bench.cluster.objects[INSTANCE]["status"]["endpoint"] == ADDRESS


async def test_the_keys_lie_in_the_tenants_namespace_with_a_copy_of_the_tenant(bench: Bench) -> None:
    assert not has(bench, "Secret", MIRROR, ROUTER_NAMESPACE)
    data = bench.child("Secret", MIRROR)["data"]
    tenant = json.loads(base64.b64decode(data[names.MIRRORED_TENANT_ENTRY]))
    assert tenant["metadata"]["name"] == "acme"
    assert tenant["spec"] == bench.cluster.objects[TENANT]["spec"]
    assert "key.default" in data


async def test_whom_to_take_for_the_metrics_server_lies_beside_the_keys(bench: Bench) -> None:
    learn_authorities(bench.environment, b"first")
    assert bench.delays == [0]
    await bench.run(TENANT)
    data = bench.child("Secret", MIRROR)["data"]
    assert base64.b64decode(data[names.MIRRORED_METER_ENTRY]) == b"first"
    bench.delays.clear()
    learn_authorities(bench.environment, b"first")
    assert bench.delays == []


async def test_a_bundle_may_have_comments_in_any_letters(bench: Bench) -> None:
    learn_authorities(bench.environment, "# Főtanúsítvány\nfirst".encode())
    await bench.run(TENANT)
    data = bench.child("Secret", MIRROR)["data"]
    assert base64.b64decode(data[names.MIRRORED_METER_ENTRY]).endswith(b"\nfirst")


async def test_an_operator_that_does_not_know_yet_leaves_what_is_there(bench: Bench) -> None:
    learn_authorities(bench.environment, b"first")
    await bench.run(TENANT)
    bench.environment.trust.authorities = None
    bench.cluster.writes.clear()
    await bench.run(TENANT)
    assert bench.cluster.writes == []


async def test_the_shared_router_finds_the_metrics_server_by_itself() -> None:
    bench = Bench()
    bench.put(TENANT, {})
    learn_authorities(bench.environment, b"first")
    await bench.run(TENANT)
    assert names.MIRRORED_METER_ENTRY not in bench.child("Secret", MIRROR, ROUTER_NAMESPACE)["data"]


async def test_the_engines_let_in_that_router_alone(bench: Bench) -> None:
    assert peers(bench) == [{"podSelector": {"matchLabels": {names.LABEL_ROUTER: "true"}}}]
    template = bench.child("Deployment", NAME)["spec"]["template"]
    assert template["metadata"]["labels"][names.LABEL_ROUTER] == "true"


async def test_at_the_shared_router_again_it_is_gone_and_its_walls_are_closed(bench: Bench) -> None:
    bench.put(TENANT, {"router": "Shared"})
    await bench.run(TENANT)
    assert [kind for kind in KINDS if has(bench, kind)] == []
    policy = bench.child("NetworkPolicy", NAME)["spec"]
    assert (policy["ingress"], policy["egress"]) == ([], [])
    assert "namespaceSelector" in peers(bench)[0]
    assert has(bench, "Secret", MIRROR, ROUTER_NAMESPACE)
    assert not has(bench, "Secret", MIRROR)
    assert names.MIRRORED_TENANT_ENTRY not in bench.child("Secret", MIRROR, ROUTER_NAMESPACE)["data"]
    assert bench.cluster.objects[TENANT]["status"]["endpoint"] == CONTEXT.endpoint


async def test_discovery_that_is_not_wanted_leaves_its_rights_alone(bench: Bench) -> None:
    await bench.run(TENANT)
    assert has(bench, "RoleBinding")


async def test_rights_of_discovery_stay_without_it() -> None:
    bench = Bench()
    bench.put(TENANT, {"discovery": {"sources": [{"name": "all", "source": "pvc://models"}]}})
    await bench.run(TENANT)
    assert has(bench, "RoleBinding", names.DISCOVERY_ACCESS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_of_any_part_concerns_the_tenant(bench: Bench, kind: str) -> None:
    assert TENANT in set(concerned(bench.child(kind, NAME), bench.environment.relations))
