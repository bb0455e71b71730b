"""A real autoscaler scales by the load that routers report."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api.meters import Meters
from tests.cluster.operated import SYNC_SECONDS, Operated

from devkit.cluster import Cluster
from devkit.waiting import until
from shimmy_api.load import DeploymentLoad, LoadReport, PodLoad

SPACE = "scaled"


def test_a_burst_of_one_report_is_scaled_up_to(operated: Operated) -> None:
    cluster, running = operated.cluster, operated.meters
    cluster.kubectl("create", "namespace", SPACE)
    cluster.kubectl("apply", "-f", "-", standard_input=json.dumps(_deployment()))
    cluster.kubectl("apply", "-f", "-", standard_input=json.dumps(_autoscaler()))
    with _reporting(running, in_flight=1):
        until(lambda: _status(cluster).get("currentMetrics"), "the autoscaler reads the load", seconds=60, every=1)
    _report(running, 3)
    with _reporting(running, in_flight=0):
        scaled = until(lambda: _status(cluster)["desiredReplicas"] == 3, "it scales", seconds=3 * SYNC_SECONDS)
    assert scaled


def _report(running: Meters, in_flight: int) -> None:
    pods = {"pod": PodLoad(in_flight=in_flight)}
    load = DeploymentLoad(namespace=SPACE, deployment="pool", instance="pool", model="tiny", pods=pods)
    running.report(LoadReport(router="r0", loads=(load,)))


@contextmanager
def _reporting(running: Meters, in_flight: int) -> Iterator[None]:
    """A router that says the same every second."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(1):
            _report(running, in_flight)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _status(cluster: Cluster) -> dict[str, Any]:
    found = cluster.client.json(f"/apis/autoscaling/v2/namespaces/{SPACE}/horizontalpodautoscalers/pool")
    status: dict[str, Any] = {"desiredReplicas": 0} | found.get("status", {})
    return status


def _deployment() -> dict[str, Any]:
    labels = {"app": "pool"}
    container = {"name": "engine", "image": "engine"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "pool", "namespace": SPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _autoscaler() -> dict[str, Any]:
    selector = {"matchLabels": {"deployment": "pool"}}
    metric = {"metric": {"name": "shimmy_model_load", "selector": selector}}
    external = metric | {"target": {"type": "AverageValue", "averageValue": "1"}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "pool", "namespace": SPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"},
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": [{"type": "External", "external": external}],
        },
    }
