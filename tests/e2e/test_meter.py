"""Routers report to the metrics server, and the API server reads from it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devkit.demo.fleet import INSTANCE, MODEL, NAMESPACE, SYSTEM_NAMESPACE, Fleet
from devkit.kubectl import KubectlError
from devkit.waiting import until

_GROUP = "/apis/external.metrics.k8s.io/v1beta1"
_API_SERVICE = "v1beta1.external.metrics.k8s.io"
_SECONDS = 60


@pytest.fixture
def autoscaled(fleet: Fleet) -> Iterator[Fleet]:
    """With bounds that leave the demo's instance as it is: routers report where load decides."""
    patch = ("patch", "shimmyinstance", INSTANCE, "-n", NAMESPACE, "--type=merge", "--patch")
    fleet.kubectl.run(*patch, json.dumps({"spec": {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}}))
    yield fleet
    fleet.kubectl.run(*patch, json.dumps({"spec": {"autoscaling": None}}))


def test_autoscalers_read_the_load_that_routers_report(autoscaled: Fleet) -> None:
    fleet = autoscaled
    until(lambda: _available(fleet), "the API server trusts the metrics server", seconds=_SECONDS)
    path = f"{_GROUP}/namespaces/{NAMESPACE}/shimmy_model_load?labelSelector=instance%3D{INSTANCE}"

    def loads() -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = json.loads(fleet.kubectl.run("get", "--raw", path))["items"]
        except KubectlError:  # on a busy machine its one replica may be late for a probe
            return []
        return found

    (load,) = until(loads, "a router has reported", seconds=_SECONDS)
    assert load["metricLabels"] == {"deployment": f"{INSTANCE}-{MODEL}", "instance": INSTANCE, "model": MODEL}


def test_no_token_is_logged(fleet: Fleet) -> None:
    log = fleet.kubectl.run("logs", "deployment/shimmy-meter", "-n", SYSTEM_NAMESPACE)
    assert "listening" in log
    assert "eyJ" not in log


def _available(fleet: Fleet) -> bool:
    found = fleet.kubectl.get("apiservice", _API_SERVICE) or {}
    conditions = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", ())}
    return conditions.get("Available") == "True"
