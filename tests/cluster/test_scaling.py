"""The real autoscaler, the real metrics server and the operator agree on how many pods a model has."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api import objects, process
from tests.api.agents import identity, rights
from tests.api.meters import OPERATOR, Meters, meters
from tests.api.objects import Manifest
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.cluster.simulated import is_ready
from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_api import names
from shimmy_api.load import DeploymentLoad, LoadReport, PodLoad

TENANT = "paced"
HOME = names.tenant_namespace(TENANT)
DEPLOYMENT = f"/apis/apps/v1/namespaces/{HOME}/deployments/chat-tiny"
AUTOSCALER = f"/apis/autoscaling/v2/namespaces/{HOME}/horizontalpodautoscalers/chat-tiny"
SYNC_SECONDS = 15
"""Between two rounds of the autoscaler."""
PEAK_SECONDS = 30


class Routers:
    """Two routers that tell the load of a model every second, and hold whenever its instance's status says so."""

    def __init__(self, cluster: Cluster, running: Meters, instance: Manifest) -> None:
        self.names = ("router-a", "router-b")
        self.load = 0
        """Requests; those that no ready pod runs are held."""
        self._cluster = cluster
        self._meters = running
        self._instance = objects.path(instance)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Have pods, and begin to tell."""
        for name in self.names:
            container = {"name": "envoy", "image": "router"}
            metadata = {"name": name, "namespace": NAMESPACE}
            labels = {names.LABEL_ROUTER: "true", names.LABEL_PART_OF: names.PART_OF}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"labels": labels}}
            objects.create(self._cluster, pod | {"spec": {"containers": [container]}})
        self._thread.start()

    def end(self) -> None:
        """Say no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1):
            self.tell()

    def tell(self) -> None:
        """Tell once."""
        selector = "labelSelector=shimmy.dev%2Finstance%3Dchat"
        pods = self._cluster.client.json(f"/api/v1/namespaces/{HOME}/pods?{selector}")["items"]
        ready = [pod["metadata"]["name"] for pod in pods if is_ready(pod)]
        models = self._cluster.client.json(self._instance).get("status", {}).get("models") or [{"state": ""}]
        holding = models[0]["state"] in {"AtZero", "Waking", "Idle"} or not ready
        share = {name: self.load // len(ready) + (at < self.load % len(ready)) for at, name in enumerate(ready)}
        for number, router in enumerate(self.names):
            load = DeploymentLoad(
                namespace=HOME,
                deployment="chat-tiny",
                instance="chat",
                model="tiny",
                pods={name: PodLoad(in_flight=count) for name, count in share.items()},
                held=0 if ready or number else self.load,
                holding=holding,
            )
            self._meters.report(LoadReport(router=router, loads=(load,)))


class Scaled:
    """An instance that load decides over, and what is around it."""

    def __init__(self, cluster: Cluster, running: Meters, routers: Routers, instance: Manifest, log: Path) -> None:
        self.cluster = cluster
        self.meters = running
        self.routers = routers
        self.instance = objects.path(instance)
        self.log = log

    @property
    def replicas(self) -> int:
        return int(self.cluster.client.json(DEPLOYMENT)["spec"]["replicas"])

    def wait(self, replicas: int, seconds: float) -> float:
        """Wait for a number of pods; returns how long that took."""
        began = time.monotonic()
        until(lambda: self.replicas == replicas, f"{replicas} pods are wanted", seconds=seconds)
        return time.monotonic() - began

    def decisions(self) -> list[tuple[int, int, str]]:
        found = self.cluster.client.json(self.instance)["status"]["autoscaling"].get("decisions") or ()
        return [(one["before"], one["after"], one["reason"]) for one in found]

    def wait_decision(self, *either: tuple[int, int, str]) -> None:
        until(lambda: set(either) & {*self.decisions()}, f"one of {either} is told", seconds=objects.SECONDS)


@pytest.fixture(scope="module")
def scaled(simulated_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scaled]:
    cluster, folder = simulated_cluster, tmp_path_factory.mktemp("scaled")
    instance = _install(cluster)
    with meters(cluster, folder) as running:
        (folder / "token").write_text(running.token(OPERATOR))
        url = f"https://{running.host}:{running.ports[0]}"
        log = folder / "operator.log"
        with process.running(cluster, log, "--meter-url", url, "--meter-folder", str(folder)):
            routers = Routers(cluster, running, instance)
            routers.start()
            try:
                until(lambda: cluster.client.find(DEPLOYMENT), "there is a Deployment", seconds=objects.SECONDS)
                yield Scaled(cluster, running, routers, instance, log)
            finally:
                routers.end()


def test_it_sleeps_wakes_answers_a_burst_at_once_and_sleeps_again(scaled: Scaled) -> None:
    assert scaled.replicas == 0

    scaled.routers.load = 1
    router = scaled.cluster.user_client(*identity(NAMESPACE, names.ROUTER_ACCOUNT))
    may = ("deployments/scale", "patch")
    until(lambda: may in rights(router, HOME), "the router may wake it", seconds=objects.SECONDS)
    wake = {"spec": {"replicas": 1}}
    router.json(f"{DEPLOYMENT}/scale", "PATCH", wake, "application/merge-patch+json")
    scaled.wait_decision((0, 1, "Woken"))

    scaled.routers.load = 4
    assert scaled.wait(4, seconds=10) < SYNC_SECONDS / 2
    scaled.wait_decision((1, 4, "Burst"), (1, 4, "Load"))  # the autoscaler may have looked just now
    until(_agrees(scaled, 4), "the autoscaler agrees", seconds=3 * SYNC_SECONDS)
    assert scaled.replicas == 4

    scaled.routers.load = 1
    scaled.wait(1, seconds=PEAK_SECONDS + 3 * SYNC_SECONDS)
    scaled.wait_decision((4, 1, "Load"))

    scaled.routers.load = 0
    scaled.wait(0, seconds=PEAK_SECONDS + 3 * SYNC_SECONDS)
    scaled.wait_decision((1, 0, "Idle"))
    counts = [after for _, after, _ in reversed(scaled.decisions())]
    assert counts == [1, 4, 1, 0]


def test_while_the_metrics_server_is_away_the_number_stays_and_it_is_told_once(scaled: Scaled) -> None:
    objects.merge(scaled.cluster, f"{DEPLOYMENT}/scale", {"spec": {"replicas": 2}})
    scaled.routers.end()
    scaled.meters.stop()
    until(lambda: _knows_no_load(scaled), "the autoscaler knows no load", seconds=3 * SYNC_SECONDS)
    assert scaled.replicas == 2
    log = scaled.log.read_text()
    assert log.count("does not tell the load") == 1
    assert "is not scaled now" not in log


def _knows_no_load(scaled: Scaled) -> bool:
    conditions = scaled.cluster.client.json(AUTOSCALER)["status"]["conditions"]
    return any(one["reason"] == "FailedGetExternalMetric" for one in conditions)


def _agrees(scaled: Scaled, replicas: int) -> Any:
    def look() -> bool:
        status = scaled.cluster.client.json(AUTOSCALER).get("status", {})
        return bool(status.get("desiredReplicas") == status.get("currentReplicas") == replicas)

    return look


def _install(cluster: Cluster) -> Manifest:
    """The operator's needs, a tenant with a model that is checked, and an instance of it that may sleep."""
    crds = str(REPOSITORY / "crds")
    cluster.kubectl("apply", "--server-side", "-f", crds)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
    for name in (NAMESPACE, HOME):
        labels = {names.LABEL_TENANT: TENANT} if name == HOME else {}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        cluster.kubectl("apply", "-f", "-", standard_input=json.dumps(namespace))
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_operator/rbac.yaml"))
    objects.create(cluster, objects.tenant(TENANT))
    objects.checked_model(cluster, HOME, "tiny")
    autoscaling = {
        "minReplicas": 0,
        "maxReplicas": 6,
        "idleSeconds": 10,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    return objects.create(cluster, objects.instance(HOME, "chat", "tiny", autoscaling=autoscaling))
