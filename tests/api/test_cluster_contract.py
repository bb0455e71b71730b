"""What reconciliation relies on, of a real API server and of the fake that unit tests use."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.operator.fake_cluster import FakeCluster

from devkit.cluster import Cluster as DevelopmentCluster
from shimmy_api.names import SCALER
from shimmy_operator.cluster.errors import AlreadyExistsError, ConflictError, NotFoundError
from shimmy_operator.cluster.kube import KubeCluster, connect
from shimmy_operator.cluster.port import Cluster
from shimmy_operator.cluster.resources import Manifest, reference


@pytest.fixture(params=["real", "fake"])
async def port(request: pytest.FixtureRequest, installed: DevelopmentCluster) -> AsyncIterator[Cluster]:
    if request.param == "fake":
        yield FakeCluster()
        return
    async with await connect(str(installed.kubeconfig), None) as api:
        yield KubeCluster(api, lambda _: None)


@pytest.fixture
def name() -> str:
    return f"contract-{uuid.uuid4().hex[:8]}"


def quota(name: str, namespace: str = "default", **hard: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}


def deployment(name: str, replicas: int | None = None) -> Manifest:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template}
        | ({} if replicas is None else {"replicas": replicas}),
    }


def version(manifest: Manifest) -> Any:
    return manifest["metadata"]["resourceVersion"]


class TestCluster:
    async def test_an_object_is_made_once(self, port: Cluster, name: str) -> None:
        await port.create(quota(name, pods="1"))
        with pytest.raises(AlreadyExistsError):
            await port.create(quota(name, pods="1"))

    async def test_applying_the_same_again_changes_nothing(self, port: Cluster, name: str) -> None:
        first = await port.apply(quota(name, pods="1"))
        assert version(await port.apply(quota(name, pods="1"))) == version(first)

    async def test_what_is_not_applied_any_more_is_gone(self, port: Cluster, name: str) -> None:
        await port.apply(quota(name, pods="1", secrets="5"))
        after = await port.apply(quota(name, pods="1"))
        assert after["spec"]["hard"] == {"pods": "1"}

    async def test_applying_leaves_what_was_made_with_the_object(self, port: Cluster, name: str) -> None:
        manifest: Manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default", "labels": {"a": "1"}},
        }
        await port.create({**manifest, "data": {"key": "eA=="}})
        manifest["metadata"]["labels"] = {"a": "2"}
        after = await port.apply(manifest)
        assert after["data"] == {"key": "eA=="}
        assert after["metadata"]["labels"] == {"a": "2"}

    async def test_a_spec_can_be_overwritten(self, port: Cluster, name: str) -> None:
        await port.create(quota(name, pods="1", secrets="5"))
        after = await port.replace_spec(quota(name, pods="2"))
        assert after["spec"]["hard"] == {"pods": "2"}

    async def test_nothing_is_applied_in_a_namespace_that_does_not_exist(self, port: Cluster, name: str) -> None:
        with pytest.raises(NotFoundError):
            await port.apply(quota(name, "missing", pods="1"))

    async def test_a_status_is_written_of_the_object_as_it_was_read_only(self, port: Cluster, name: str) -> None:
        tenant: Manifest = {"apiVersion": "shimmy.dev/v1alpha1", "kind": "ShimmyTenant", "metadata": {"name": name}}
        status = {**tenant, "status": {"namespace": "there"}}
        with pytest.raises(NotFoundError):
            await port.apply_status(status)
        made = await port.create({**tenant, "spec": {}})
        after = await port.apply_status(status)
        assert after["status"]["namespace"] == "there"
        assert after["metadata"]["generation"] == made["metadata"]["generation"] == 1
        with pytest.raises(ConflictError):
            await port.apply_status({**status, "metadata": {"name": name, "resourceVersion": version(made)}})
        emptied = await port.apply_status({**tenant, "status": {"observedGeneration": 1}})
        assert emptied["status"] == {"observedGeneration": 1}
        await port.delete(reference(made), made["metadata"]["uid"])

    async def test_an_object_that_has_changed_since_is_neither_applied_nor_deleted(
        self, port: Cluster, name: str
    ) -> None:
        made = await port.create(quota(name, pods="1"))
        now = await port.apply(quota(name, pods="2"))
        wanted = quota(name, pods="3")
        with pytest.raises(ConflictError):
            await port.apply({**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version(made)}})
        with pytest.raises(ConflictError):
            await port.delete(reference(made), made["metadata"]["uid"], version(made))
        same = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version(now)}}
        last = await port.apply(same)
        assert last["spec"]["hard"] == {"pods": "3"}
        await port.delete(reference(made), made["metadata"]["uid"], version(last))
        assert version(await port.apply(wanted)) != version(last)

    async def test_this_very_object_is_deleted_and_a_missing_one_is_no_error(self, port: Cluster, name: str) -> None:
        made = await port.create(quota(name, pods="1"))
        with pytest.raises(ConflictError):
            await port.delete(reference(made), "another")
        await port.delete(reference(made), made["metadata"]["uid"])
        await port.delete(reference(made), made["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            await port.apply(quota(name, "missing"))

    async def test_a_number_of_pods_survives_the_manager_that_set_it_only_with_another(
        self, port: Cluster, name: str
    ) -> None:
        made = await port.apply(deployment(name, 7))
        held = {key: made["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        await port.apply({**deployment(name), "metadata": held, "spec": {"replicas": 7}}, SCALER)
        assert (await port.apply(deployment(name)))["spec"]["replicas"] == 7
        assert (await port.apply(deployment(name, 2)))["spec"]["replicas"] == 2
        alone = await port.apply(deployment(f"{name}-alone", 7))
        assert (await port.apply(deployment(f"{name}-alone")))["spec"]["replicas"] == 1
        for manifest in (made, alone):
            await port.delete(reference(manifest), manifest["metadata"]["uid"])

    async def test_a_number_of_pods_is_set_of_the_object_as_it_was_read_only(self, port: Cluster, name: str) -> None:
        key = reference(deployment(name))
        assert await port.read(key) is None
        with pytest.raises(NotFoundError):
            await port.scale(key, 3, "1")
        made = await port.apply(deployment(name, 1))
        await port.scale(key, 3, version(made))
        with pytest.raises(ConflictError):
            await port.scale(key, 4, version(made))
        found = await port.read(key)
        assert found is not None
        assert found["spec"]["replicas"] == 3
        assert found["metadata"]["generation"] == made["metadata"]["generation"] + 1
        assert (await port.apply(deployment(name)))["spec"]["replicas"] == 3
        await port.delete(key, made["metadata"]["uid"])

    async def test_annotations_are_added_to_those_of_others(self, port: Cluster, name: str) -> None:
        made = await port.create(quota(name, pods="1"))
        await port.annotate(reference(made), {"a": "1", "b": "1"})
        await port.annotate(reference(made), {"b": "2"})
        found = await port.read(reference(made))
        assert found is not None
        assert found["metadata"]["annotations"] == {"a": "1", "b": "2"}
        await port.delete(reference(made), made["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            await port.annotate(reference(made), {"a": "1"})
