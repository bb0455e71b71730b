"""Who sets spec.replicas, on a real API server: the number never changes by the way."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.api import objects, process
from tests.api.agents import identity, rights
from tests.api.objects import Manifest
from tests.api.process import NAMESPACE
from tests.api.test_writes import settle

from devkit.audit import requests
from devkit.cluster import Cluster
from devkit.waiting import until
from shimmy_api import names

TENANT = "scaling"
HOME = names.tenant_namespace(TENANT)
LIVELY: Manifest = {"maxReplicas": 10}
RESYNC_SECONDS = 2
SLEEPY: Manifest = {"minReplicas": 0, "maxReplicas": 3}


@pytest.fixture(scope="module")
def fleet(installed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with process.running(
        installed, tmp_path_factory.mktemp("scaling") / "operator.log", "--resync-seconds", str(RESYNC_SECONDS)
    ):
        objects.make_fleet(installed, TENANT)
        yield installed
        # Other tests count what an operator writes.
        installed.client.json(f"{objects.GROUP}/namespaces/{HOME}/shimmyinstances", "DELETE")


def deployment(name: str) -> str:
    return f"/apis/apps/v1/namespaces/{HOME}/deployments/{name}-tiny"


def autoscaler(name: str) -> str:
    return f"/apis/autoscaling/v2/namespaces/{HOME}/horizontalpodautoscalers/{name}-tiny"


def make(fleet: Cluster, name: str, **spec: Any) -> Manifest:
    made = objects.create(fleet, objects.instance(HOME, name, "tiny", **spec))
    until(lambda: fleet.client.find(deployment(name)), "there is a Deployment", seconds=objects.SECONDS)
    return made


def change(fleet: Cluster, name: str, **spec: Any) -> None:
    """Change an instance, and wait until the operator has looked at it."""
    path = f"{objects.GROUP}/namespaces/{HOME}/shimmyinstances/{name}"
    generation = objects.merge(fleet, path, {"spec": spec})["metadata"]["generation"]
    until(
        lambda: fleet.client.json(path).get("status", {}).get("observedGeneration") == generation,
        f"{name} is observed",
        seconds=objects.SECONDS,
    )


@contextmanager
def watching(fleet: Cluster, name: str) -> Iterator[list[int]]:
    """Every number of pods that the Deployment has while the block runs; filled at its end."""
    seen: list[int] = []
    started = fleet.client.json(deployment(name))
    yield seen
    collection, _, one = deployment(name).rpartition("/")
    # A watch from an old version begins with what happened since.
    query = f"watch=true&fieldSelector=metadata.name%3D{one}&timeoutSeconds=1"
    version = started["metadata"]["resourceVersion"]
    lines = fleet.client.text(f"{collection}?{query}&resourceVersion={version}").splitlines()
    seen += [int(json.loads(line)["object"]["spec"]["replicas"]) for line in lines]
    assert seen, "nothing was written"


def scale(fleet: Cluster, name: str, replicas: int) -> None:
    """Do what an autoscaler does."""
    objects.merge(fleet, f"{deployment(name)}/scale", {"spec": {"replicas": replicas}})


def test_seven_stays_seven_there_and_back(fleet: Cluster) -> None:
    make(fleet, "seven", replicas=7)
    with watching(fleet, "seven") as seen:
        change(fleet, "seven", autoscaling=LIVELY)
        assert fleet.client.json(autoscaler("seven"))["spec"]["maxReplicas"] == 10
        change(fleet, "seven", engine={"resources": {"cpu": "3"}})
        change(fleet, "seven", autoscaling=None)
        assert fleet.client.find(autoscaler("seven")) is None
        change(fleet, "seven", engine={"resources": {"cpu": "4"}})
    assert set(seen) == {7}
    scale(fleet, "seven", 2)
    until(
        lambda: fleet.client.json(deployment("seven"))["spec"]["replicas"] == 7,
        "the operator has the number again",
        seconds=objects.SECONDS,
    )


def test_a_new_instance_at_zero_begins_with_no_pod_and_keeps_what_others_set(fleet: Cluster) -> None:
    make(fleet, "zero", replicas=5, autoscaling=SLEEPY)
    assert fleet.client.json(deployment("zero"))["spec"]["replicas"] == 0
    with watching(fleet, "zero") as seen:
        change(fleet, "zero", engine={"resources": {"cpu": "3"}})
        change(fleet, "zero", engine={"resources": {"cpu": "4"}})
    assert set(seen) == {0}
    scale(fleet, "zero", 3)
    with watching(fleet, "zero") as seen:
        change(fleet, "zero", engine={"resources": {"cpu": "5"}})
        change(fleet, "zero", autoscaling={"minReplicas": 1})
    assert set(seen) == {3}


def test_a_deployment_that_lost_its_labels_keeps_its_number(fleet: Cluster) -> None:
    make(fleet, "lost", autoscaling=LIVELY)
    scale(fleet, "lost", 4)
    with watching(fleet, "lost") as seen:
        objects.merge(fleet, deployment("lost"), {"metadata": {"labels": None}})
        until(
            lambda: fleet.client.json(deployment("lost"))["metadata"].get("labels"),
            "the labels are back",
            seconds=objects.SECONDS,
        )
    assert set(seen) == {4}


def test_an_autoscaler_that_is_edited_or_deleted_is_put_right(fleet: Cluster) -> None:
    make(fleet, "drift", autoscaling=LIVELY | {"targetUtilization": 80})
    path = autoscaler("drift")
    before = until(lambda: fleet.client.find(path), "there is an autoscaler", seconds=objects.SECONDS)
    target = before["spec"]["metrics"][0]["external"]
    assert target["target"]["averageValue"] == "800m"
    assert target["metric"]["selector"]["matchLabels"] == {"deployment": "drift-tiny"}
    objects.merge(fleet, path, {"spec": {"maxReplicas": 99, "metrics": None}})
    until(lambda: fleet.client.json(path)["spec"] == before["spec"], "it is put right", seconds=objects.SECONDS)
    fleet.client.json(path, "DELETE")
    until(lambda: fleet.client.find(path), "it is back", seconds=objects.SECONDS)


def test_a_least_that_is_lifted_above_zero_starts_pods(fleet: Cluster) -> None:
    made = make(fleet, "lift", autoscaling=SLEEPY)
    objects.wait_reason(fleet, made, "AtZero")
    change(fleet, "lift", autoscaling={"minReplicas": 2})

    def told() -> Any:
        return fleet.client.json(objects.path(made))["status"]["autoscaling"].get("decisions")

    decision = until(told, "the decision is told", seconds=objects.SECONDS)[0]
    assert (decision["before"], decision["after"], decision["reason"]) == (0, 2, "Bounds")
    assert fleet.client.json(deployment("lift"))["spec"]["replicas"] == 2
    found = objects.wait_reason(fleet, made, "Waking")
    assert found["status"]["models"][0]["state"] == "Waking"


def test_a_schedule_that_means_nothing_is_left_out_and_told(fleet: Cluster) -> None:
    always = {"name": "always", "start": "* * * * *", "end": "0 0 29 2 *", "minReplicas": 3}
    nowhere = {"name": "nowhere", "start": "0 8 * * *", "end": "0 9 * * *", "timeZone": "Moon/Sea", "maxReplicas": 9}
    made = make(fleet, "odd", autoscaling=LIVELY | {"schedules": [always, nowhere]})
    found = objects.wait_reason(fleet, made, "BoundsInvalid")
    assert found["status"]["autoscaling"]["schedules"] == ["always"]
    assert fleet.client.json(deployment("odd"))["spec"]["replicas"] == 3
    told = next(one for one in found["status"]["conditions"] if one["type"] == "BoundsValid")
    assert "Moon/Sea" in told["message"]


def test_an_autoscaled_instance_at_rest_costs_no_request_that_writes(fleet: Cluster) -> None:
    rules = {"stabilizationWindowSeconds": 5, "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}
    behavior = {"scaleUp": {"selectPolicy": "Disabled"}, "scaleDown": rules}
    make(fleet, "resting", autoscaling=LIVELY | {"targetUtilization": 150, "behavior": behavior})
    until(lambda: fleet.client.find(autoscaler("resting")), "there is an autoscaler", seconds=objects.SECONDS)
    since = settle(fleet)
    time.sleep(2.5 * RESYNC_SECONDS)
    assert requests(fleet.audit_log, process.USER, since) == []


def test_the_router_may_start_pods_only_where_models_may_sleep(fleet: Cluster) -> None:
    objects.wait_reason(fleet, objects.create(fleet, objects.tenant("awake")), "Provisioned")
    make(fleet, "sleeper", autoscaling=SLEEPY)
    router = fleet.user_client(*identity(NAMESPACE, names.ROUTER_ACCOUNT))
    expected = {("deployments/scale", "get"), ("deployments/scale", "patch")}
    until(lambda: expected <= rights(router, HOME), "the router may scale", seconds=objects.SECONDS)
    assert not expected & rights(router, names.tenant_namespace("awake"))
    change(fleet, "sleeper", autoscaling={"minReplicas": 1})
    until(lambda: not expected & rights(router, HOME), "the right is withdrawn", seconds=objects.SECONDS)
