"""Reconciliation against a cluster in memory."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operator.bench import INSTANCE, MODEL, NS, RESULT, TENANT, Bench, finish
from tests.unit.operator.samples import CONTEXT, NETWORK

from shimmy_api import names
from shimmy_operator.cluster.errors import ConflictError, ForbiddenError
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.keys import key_id, new_key


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    bench.put(TENANT, {"quota": {"gpus": 2}})
    await bench.run(TENANT)
    return bench


@pytest.fixture
async def checked(bench: Bench) -> Bench:
    """With a model whose file is checked."""
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": NS}}
    bench.cluster.put({**claim, "spec": {}})
    bench.put(MODEL, {"backend": {"gguf": {"source": "pvc://models/tiny.gguf"}}})
    await bench.run(MODEL)
    finish(bench, 0, json.dumps(RESULT))
    await bench.run(MODEL)
    return bench


async def test_a_tenant_gets_its_children_with_one_write_each(bench: Bench) -> None:
    assert bench.ready(TENANT) == ("True", "Provisioned")
    assert bench.kinds() == sorted(
        ["NetworkPolicy"] * 3 + ["Secret"] * 3 + ["ResourceQuota", "ServiceAccount", "ShimmyTenant"]
    )
    assert len(bench.cluster.writes) == 10
    assert [event["reason"] for event in bench.cluster.events] == ["Provisioned", "KeyCreated"]


async def test_reconciling_again_writes_nothing(checked: Bench) -> None:
    checked.put(INSTANCE, {"models": ["tiny"]})
    await checked.run(INSTANCE)
    checked.cluster.writes.clear()
    await checked.run(TENANT, MODEL, INSTANCE)
    assert checked.cluster.writes == []


async def test_a_key_is_made_once_and_mirrored(bench: Bench) -> None:
    key = bench.child("Secret", "shimmy-key-default")["data"]["key"]
    mirror = bench.child("Secret", "shimmy-keys-acme", "shimmy-system")["data"]
    assert mirror["key.default"] == key
    status = bench.cluster.objects[TENANT]["status"]["keys"]
    assert [entry["secretName"] for entry in status] == ["shimmy-key-default"]
    bench.put(TENANT, {"quota": {"gpus": 3}})
    await bench.run(TENANT)
    assert bench.child("Secret", "shimmy-key-default")["data"]["key"] == key


async def test_a_key_that_was_made_by_somebody_else_is_kept(bench: Bench) -> None:
    bench.put(TENANT, {"keys": [{"name": "own"}]})
    own = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shimmy-key-own", "namespace": NS}}
    bench.cluster.put({**own, "data": {"key": "bm8ga2V5"}})
    await bench.run(TENANT)
    assert bench.ready(TENANT) == ("False", "KeyInvalid")
    assert bench.child("Secret", "shimmy-key-own")["data"]["key"] == "bm8ga2V5"
    assert Reference("Secret", NS, "shimmy-key-default") not in bench.cluster.objects


async def test_another_tenants_namespace_is_refused(bench: Bench) -> None:
    other = Reference("ShimmyTenant", None, "other")
    bench.put(other, {"namespace": NS})
    bench.cluster.writes.clear()
    await bench.run(other)
    assert bench.ready(other) == ("False", "NamespaceNotOurs")
    assert bench.cluster.writes == [f"apply {other}"]


async def test_a_namespace_that_lost_its_label_is_still_the_tenants(bench: Bench) -> None:
    namespace = bench.child("Namespace", NS, None)
    bench.cluster.put({**namespace, "metadata": {**namespace["metadata"], "labels": {}}})
    await bench.run(TENANT)
    assert bench.child("Namespace", NS, None)["metadata"]["labels"][names.LABEL_TENANT] == "acme"


async def test_a_namespace_that_somebody_makes_at_the_same_time_is_not_taken_over() -> None:
    bench = Bench()
    bench.put(TENANT, {})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}}
    bench.cluster.put(namespace)
    bench.cluster.store.remove(bench.child("Namespace", NS, None))  # the watch has not told of it yet
    with pytest.raises(ConflictError):
        await bench.run(TENANT)
    assert "labels" not in bench.child("Namespace", NS, None)["metadata"]


async def test_a_checked_model_is_served(checked: Bench) -> None:
    assert checked.ready(MODEL) == ("True", "Checked")
    checked.put(INSTANCE, {"models": ["tiny"]})
    await checked.run(INSTANCE)
    assert checked.ready(INSTANCE) == ("False", "Loading")
    assert checked.child("Service", "chat-tiny")["spec"]["clusterIP"] == "None"
    deployment = checked.child("Deployment", "chat-tiny")
    checked.cluster.put({**deployment, "status": {"readyReplicas": 1}})
    await checked.run(INSTANCE)
    assert checked.ready(INSTANCE) == ("True", "Serving")
    assert [event["reason"] for event in checked.cluster.events] == ["Provisioned", "KeyCreated", "Checked", "Serving"]


async def test_a_model_whose_source_changes_is_checked_again_while_its_old_pods_serve(checked: Bench) -> None:
    checked.put(INSTANCE, {"models": ["tiny"]})
    await checked.run(INSTANCE)
    before = checked.child("Deployment", "chat-tiny")
    checked.put(MODEL, {"backend": {"gguf": {"source": "pvc://models/other.gguf"}}})
    await checked.run(MODEL, INSTANCE)
    assert checked.ready(MODEL) == ("False", "Checking")
    assert checked.child("Deployment", "chat-tiny") == before
    assert [key for key in checked.cluster.objects if key.kind == "Job"] != []


async def test_a_finished_job_that_is_cleaned_up_is_not_made_again(checked: Bench) -> None:
    checked.cluster.drop(next(key for key in checked.cluster.objects if key.kind == "Job"))
    await checked.run(MODEL)
    assert "Job" not in checked.kinds()


async def test_a_model_whose_volume_is_gone_is_not_usable(checked: Bench) -> None:
    checked.cluster.drop(Reference("PersistentVolumeClaim", NS, "models"))
    await checked.run(MODEL)
    assert checked.ready(MODEL) == ("False", "ClaimNotFound")
    assert "artifact" not in checked.cluster.objects[MODEL]["status"]


async def test_a_model_that_is_fetched_gets_a_volume_that_outlives_it(bench: Bench) -> None:
    source = {"source": "https://example.org/tiny.gguf", "sha256": "b" * 64}
    bench.put(MODEL, {"backend": {"gguf": source}})
    await bench.run(MODEL)
    assert bench.ready(MODEL) == ("False", "Fetching")
    assert "ownerReferences" not in bench.child("PersistentVolumeClaim", "shimmy-model-tiny")["metadata"]


async def test_authorities_come_into_a_tenants_namespace_and_go_with_the_setting(bench: Bench) -> None:
    authorities = Reference("ConfigMap", NS, "shimmy-fetch-authorities")
    plain = bench.environment
    bench.environment = replace(plain, settings=replace(CONTEXT, fetch_network=NETWORK))
    await bench.run(TENANT)
    assert bench.cluster.objects[authorities]["data"] == {"ca.crt": NETWORK.ca_bundle}
    bench.cluster.writes.clear()
    await bench.run(TENANT)
    assert bench.cluster.writes == []
    bench.environment = plain
    await bench.run(TENANT)
    assert authorities not in bench.cluster.objects


@pytest.mark.parametrize(("port", "told"), [(443, False), (8443, True)])
async def test_a_source_behind_a_closed_port_says_which_one(bench: Bench, port: int, told: bool) -> None:
    source = {"source": f"https://example.org:{port}/tiny.gguf?signature=secret", "sha256": "a" * 64}
    bench.put(MODEL, {"backend": {"gguf": source}})
    await bench.run(MODEL)
    finish(bench, 75, json.dumps({"reason": "SourceUnreachable", "message": "nobody answers"}))
    await bench.run(MODEL)
    assert bench.ready(MODEL) == ("False", "SourceUnreachable")
    message = bench.cluster.objects[MODEL]["status"]["conditions"][0]["message"]
    assert (f"open TCP port {port}" in message) is told
    assert "secret" not in message


async def test_an_object_that_is_being_deleted_is_left_alone(bench: Bench) -> None:
    tenant = bench.cluster.objects[TENANT]
    bench.cluster.put({**tenant, "metadata": {**tenant["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    bench.cluster.drop(Reference("ResourceQuota", NS, "shimmy-quota"))
    await bench.run(TENANT)
    assert "ResourceQuota" not in bench.kinds()


async def test_what_the_api_server_refuses_is_told_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(manifest: Manifest) -> Manifest:
        raise ForbiddenError(f"403: no {manifest['kind']} for you")

    monkeypatch.setattr(bench.cluster, "apply", refuse)
    bench.put(TENANT, {"quota": {"gpus": 9}})
    with pytest.raises(ForbiddenError):
        await bench.run(TENANT)
    assert bench.ready(TENANT) == ("False", "Forbidden")
    assert bench.cluster.objects[TENANT]["status"]["namespace"] == NS


async def test_counts_alone_are_written_at_most_every_ten_seconds(checked: Bench) -> None:
    checked.put(INSTANCE, {"models": ["tiny"], "replicas": 3})
    await checked.run(INSTANCE)
    for ready in (1, 2):
        checked.cluster.put({**checked.child("Deployment", "chat-tiny"), "status": {"readyReplicas": ready}})
        await checked.run(INSTANCE)
    assert checked.cluster.objects[INSTANCE]["status"]["readyReplicas"] == 1
    assert checked.delays == [10]
    checked.time += timedelta(seconds=10)
    await checked.run(INSTANCE)
    assert checked.cluster.objects[INSTANCE]["status"]["readyReplicas"] == 2


def test_keys_are_of_the_agreed_form_and_never_the_same() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(key_id(key) for key in keys)
    assert key_id("sk-shimmy-short") is None


async def test_a_folder_is_converted_once_its_volumes_are_there(bench: Bench) -> None:
    def claim(name: str) -> Manifest:
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": NS}}

    bench.cluster.put({**claim("models"), "spec": {}})
    found = {"baseModel": "pvc://models/tiny", "peftSource": "pvc://adapters/acme"}
    bench.put(MODEL, {"backend": {"huggingFace": found}})
    await bench.run(MODEL)
    assert bench.ready(MODEL) == ("False", "ClaimNotFound")
    assert "Job" not in bench.kinds()
    bench.cluster.put({**claim("adapters"), "spec": {}})
    await bench.run(MODEL)
    assert bench.ready(MODEL) == ("False", "Converting")
    finish(bench, 0, json.dumps(RESULT))
    await bench.run(MODEL)
    assert bench.ready(MODEL) == ("True", "Checked")
    artifact = bench.cluster.objects[MODEL]["status"]["artifact"]
    assert artifact["claimName"] == "shimmy-model-tiny"
    assert artifact["path"].endswith("-Q8_0.gguf")


async def test_a_conversion_that_is_refused_says_why(bench: Bench) -> None:
    bench.put(MODEL, {"backend": {"huggingFace": {"baseModel": "acme/tiny"}}})
    await bench.run(MODEL)
    finish(bench, 1, json.dumps({"reason": "Unsupported", "message": "models of type 'x' cannot be converted"}))
    await bench.run(MODEL)
    assert bench.ready(MODEL) == ("False", "Unsupported")
