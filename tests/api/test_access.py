"""Keys, tokens and what contradicts, on a real API server and with the operator's own rights."""

import base64
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.api import objects, process
from tests.api.test_writes import settle
from tests.unit.operator.key_sets import ec_key, key_set
from tests.unit.operator.test_examples import GUIDE, documents

from devkit.audit import requests
from devkit.cluster import Cluster
from devkit.waiting import until
from shimmy_api.names import KEY_PREFIX

SYSTEM = f"/api/v1/namespaces/{process.NAMESPACE}"
ISSUERS = f"{SYSTEM}/configmaps/shimmy-jwks"


def mirror(cluster: Cluster, tenant: str) -> dict[str, str]:
    """What the router has of a tenant, the engines' token apart."""
    data = cluster.client.json(f"{SYSTEM}/secrets/shimmy-keys-{tenant}")["data"]
    return {name: base64.b64decode(value).decode() for name, value in data.items() if name != "engineToken"}


def wait_mirror(cluster: Cluster, tenant: str, *entries: str) -> dict[str, str]:
    def look() -> tuple[dict[str, str]] | None:
        found = mirror(cluster, tenant)
        return (found,) if set(found) == set(entries) else None  # none at all may be what is asked for

    return until(look, f"the mirror of {tenant} has {entries}", seconds=5)[0]


def has_key(cluster: Cluster, tenant: str, kid: str) -> bool:
    return kid in mirror(cluster, tenant)["jwks.people"]


def wait_state(cluster: Cluster, tenant: objects.Manifest, what: str, name: str, state: str) -> objects.Manifest:
    def look() -> objects.Manifest | None:
        found = cluster.client.json(objects.path(tenant)).get("status", {}).get(what) or []
        return next((one for one in found if (one["name"], one["state"]) == (name, state)), None)

    return until(look, f"{what} {name} of {tenant['metadata']['name']} is {state}", seconds=objects.SECONDS)


def wait_events(cluster: Cluster, tenant: str, *reasons: str) -> None:
    def look() -> bool:
        events = cluster.client.json("/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        found = [event["reason"] for event in events if event["regarding"].get("name") == tenant]
        return sorted(reason for reason in found if reason.startswith(("Key", "Tokens"))) == sorted(reasons)

    until(look, f"{tenant} has the events {reasons}", seconds=5)


def change(cluster: Cluster, tenant: objects.Manifest, **spec: Any) -> None:
    objects.merge(cluster, objects.path(tenant), {"spec": spec})


def own_secret(namespace: str, name: str, key: str, **labels: str) -> objects.Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": key}}


def test_a_key_is_rotated_with_an_overlap(cluster: Cluster) -> None:
    tenant = objects.create(cluster, objects.tenant("rotates", keys=[{"name": "old"}]))
    objects.wait_reason(cluster, tenant, "Provisioned")
    old = wait_mirror(cluster, "rotates", "key.old")
    change(cluster, tenant, keys=[{"name": "old"}, {"name": "new"}])
    both = wait_mirror(cluster, "rotates", "key.old", "key.new")
    assert both["key.old"] == old["key.old"]
    change(cluster, tenant, keys=[{"name": "new"}])
    assert wait_mirror(cluster, "rotates", "key.new")["key.new"] == both["key.new"]
    gone = "/api/v1/namespaces/shimmy-rotates/secrets/shimmy-key-old"
    until(lambda: cluster.client.find(gone) is None, "the old key's Secret is gone", seconds=5)
    wait_events(cluster, "rotates", "KeyCreated", "KeyCreated", "KeyRevoked")


def test_a_key_ends_at_its_time(cluster: Cluster) -> None:
    end = datetime.now(UTC) + timedelta(seconds=4)
    keys = [{"name": "brief", "expiresAt": end.strftime("%Y-%m-%dT%H:%M:%SZ")}, {"name": "lasting"}]
    tenant = objects.create(cluster, objects.tenant("ends", keys=keys))
    wait_state(cluster, tenant, "keys", "brief", "Active")
    wait_state(cluster, tenant, "keys", "brief", "Expired")
    assert datetime.now(UTC) >= end.replace(microsecond=0)
    wait_mirror(cluster, "ends", "key.lasting")
    objects.wait_reason(cluster, tenant, "Provisioned")
    wait_events(cluster, "ends", "KeyCreated", "KeyCreated", "KeyExpired")


def test_a_secret_of_the_users_is_used_and_never_touched(cluster: Cluster) -> None:
    keys = [{"name": "default"}, {"name": "vault", "secretName": "vault"}]
    tenant = objects.create(cluster, objects.tenant("vaulted", keys=keys))
    objects.wait_reason(cluster, tenant, "KeyMissing")
    wait_mirror(cluster, "vaulted", "key.default")
    key = f"{KEY_PREFIX}-vault001-{'x' * 40}"
    secret = objects.create(cluster, own_secret("shimmy-vaulted", "vault", key))
    path = objects.path(secret)
    label = {"app.kubernetes.io/part-of": "shimmy"}
    before = objects.merge(cluster, path, {"metadata": {"labels": label}})
    objects.wait_reason(cluster, tenant, "Provisioned")
    assert wait_mirror(cluster, "vaulted", "key.default", "key.vault")["key.vault"] == key
    change(cluster, tenant, keys=[{"name": "default"}])
    wait_mirror(cluster, "vaulted", "key.default")
    after = cluster.client.json(path)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_key_that_two_tenants_hold_is_told_to_both(cluster: Cluster) -> None:
    first = objects.create(cluster, objects.tenant("holder"))
    objects.wait_reason(cluster, first, "Provisioned")
    key = mirror(cluster, "holder")["key.default"]
    second = objects.create(cluster, objects.tenant("copier", keys=[{"name": "copy", "secretName": "copy"}]))
    objects.wait_reason(cluster, second, "KeyMissing")
    labels = {"app.kubernetes.io/part-of": "shimmy"}
    objects.create(cluster, own_secret("shimmy-copier", "copy", key, **labels))
    for tenant in (first, second):
        objects.wait_reason(cluster, tenant, "KeyNotUnique")
    change(cluster, second, keys=[])
    wait_state(cluster, first, "keys", "default", "Active")


def test_issuers_keys_come_from_one_config_map_and_follow_it(cluster: Cluster) -> None:
    people = {"name": "people", "issuer": "https://id.example", "jwks": {"key": "id.json"}, "audience": "shimmy"}
    older = objects.create(cluster, objects.tenant("tokens-a", keys=[], tokens=[{**people, "values": ["alice"]}]))
    objects.wait_reason(cluster, older, "IssuerKeysMissing")
    issuers: objects.Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shimmy-jwks", "namespace": process.NAMESPACE},
        "data": {"id.json": key_set(ec_key("first"))},
    }
    objects.create(cluster, issuers)
    try:
        objects.wait_reason(cluster, older, "Provisioned")
        assert "first" in wait_mirror(cluster, "tokens-a", "jwks.people")["jwks.people"]
        younger = objects.create(cluster, objects.tenant("tokens-b", keys=[], tokens=[{**people, "values": ["bob"]}]))
        wait_state(cluster, younger, "tokens", "people", "Active")
        objects.merge(cluster, ISSUERS, {"data": {"id.json": key_set(ec_key("first"), ec_key("second"))}})
        for name in ("tokens-a", "tokens-b"):
            until(partial(has_key, cluster, name, "second"), "the mirror follows the ConfigMap", seconds=5)
        change(cluster, younger, tokens=[{**people, "values": ["alice"]}])
        objects.wait_reason(cluster, younger, "TokensNotUnique")
        wait_mirror(cluster, "tokens-b")
        objects.merge(cluster, ISSUERS, {"data": {"id.json": key_set({**ec_key("first"), "d": "c2VjcmV0"})}})
        objects.wait_reason(cluster, older, "IssuerKeysInvalid")
        wait_mirror(cluster, "tokens-a")
    finally:
        cluster.client.json(ISSUERS, "DELETE")


def may(cluster: Cluster, verb: str, name: str, namespace: str) -> bool:
    """Whether the operator may do something with a ConfigMap."""
    attributes = {"verb": verb, "resource": "configmaps", "name": name, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": process.USER, "resourceAttributes": attributes},
    }
    answer = cluster.client.json("/apis/authorization.k8s.io/v1/subjectaccessreviews", "POST", review)
    return bool(answer["status"]["allowed"])


def test_the_operator_reads_issuers_keys_in_the_routers_namespace_and_writes_them_nowhere(installed: Cluster) -> None:
    assert may(installed, "list", "shimmy-jwks", process.NAMESPACE)
    assert may(installed, "watch", "shimmy-jwks", process.NAMESPACE)
    assert not may(installed, "list", "shimmy-jwks", "default")
    assert not may(installed, "list", "kube-root-ca.crt", process.NAMESPACE)
    assert not may(installed, "patch", "shimmy-jwks", process.NAMESPACE)


def test_a_shared_model_says_with_whom(cluster: Cluster) -> None:
    borrower = objects.create(cluster, objects.tenant("borrower", fallback={"models": ["large"]}))
    objects.wait_reason(cluster, borrower, "ModelNotFound")
    objects.wait_reason(cluster, objects.create(cluster, objects.tenant("owner")), "Provisioned")
    shared = objects.model("shimmy-owner", "large", "pvc://models/large.gguf")
    shared["spec"]["sharedWith"] = {"tenants": ["borrower", "nobody"]}
    objects.create(cluster, shared)
    objects.wait_reason(cluster, borrower, "Consistent")
    found = objects.wait_reason(cluster, shared, "TenantNotFound")
    assert found["status"]["sharing"] == {"allTenants": False, "tenants": ["borrower"], "unknown": ["nobody"]}
    objects.create(cluster, objects.tenant("nobody"))
    objects.wait_reason(cluster, shared, "Consistent")
    cluster.client.json(objects.path(shared), "DELETE")
    objects.wait_reason(cluster, borrower, "ModelNotFound")


@pytest.mark.parametrize("number", range(len(list(documents(GUIDE)))))
def test_the_guide_shows_objects_that_the_api_server_takes(installed: Cluster, number: int) -> None:
    manifest = list(documents(GUIDE))[number]
    namespace = manifest["metadata"].get("namespace", "default")
    if installed.client.find(f"/api/v1/namespaces/{namespace}") is None:
        objects.create(installed, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    installed.client.json(f"{objects.collection(manifest)}?dryRun=All&fieldValidation=Strict", "POST", manifest)


def test_credentials_at_rest_cost_no_write(installed: Cluster, tmp_path: Path) -> None:
    keys = [{"name": "default", "models": ["absent"]}, {"name": "missing", "secretName": "missing"}]
    keys += [{"name": "old", "expiresAt": "2020-01-01T00:00:00Z"}]
    tokens = [{"name": "pods", "audience": "shimmy", "values": ["system:serviceaccount:shop:web"]}]
    with process.running(installed, tmp_path / "operator.log", "--resync-seconds", "2"):
        tenant = objects.create(installed, objects.tenant("rests", keys=keys, tokens=tokens))
        objects.wait_reason(installed, tenant, "KeyMissing")
        since = settle(installed)
        version = installed.client.json(objects.path(tenant))["metadata"]["resourceVersion"]
        until(lambda: (datetime.now(UTC) - since).total_seconds() > 5, "two resyncs are over", seconds=10)
        assert requests(installed.audit_log, process.USER, since) == []
        assert installed.client.json(objects.path(tenant))["metadata"]["resourceVersion"] == version
