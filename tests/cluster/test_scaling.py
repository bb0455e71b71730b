"""The real autoscaler, the real metrics server and the operator agree on how many pods a model has."""

from collections.abc import Callable, Iterator

import pytest
from tests.cluster.operated import PEAK_SECONDS, SYNC_SECONDS, Instance, Operated

from devkit.cluster import Cluster
from devkit.waiting import until


@pytest.fixture(scope="module")
def scaled(operated: Operated) -> Iterator[Instance]:
    autoscaling = {
        "minReplicas": 0,
        "maxReplicas": 6,
        "idleSeconds": 10,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    with operated.instance("chat", autoscaling) as made:
        yield made


def test_it_sleeps_wakes_answers_a_burst_at_once_and_sleeps_again(operated: Operated, scaled: Instance) -> None:
    loads = operated.routers.loads
    assert scaled.replicas == 0

    operated.routers.wake("chat")
    scaled.wait_decision((0, 1, "Woken"))

    loads["chat"] = 4
    assert scaled.wait(4, seconds=10) < SYNC_SECONDS / 2
    scaled.wait_decision((1, 4, "Burst"), (1, 4, "Load"))  # the autoscaler may have looked just now
    until(_agrees(operated.cluster, scaled, 4), "the autoscaler agrees", seconds=3 * SYNC_SECONDS)
    assert scaled.replicas == 4

    loads["chat"] = 1
    scaled.wait(1, seconds=PEAK_SECONDS + 3 * SYNC_SECONDS)
    scaled.wait_decision((4, 1, "Load"))

    loads["chat"] = 0
    scaled.wait(0, seconds=PEAK_SECONDS + 3 * SYNC_SECONDS)
    scaled.wait_decision((1, 0, "Idle"))
    counts = [after for _, after, _ in reversed(scaled.decisions())]
    assert counts == [1, 4, 1, 0]


def test_while_the_metrics_server_is_away_the_number_stays_and_it_is_told_once(
    operated: Operated, scaled: Instance
) -> None:
    operated.cluster.client.json(
        f"{scaled.deployment}/scale", "PATCH", {"spec": {"replicas": 2}}, "application/merge-patch+json"
    )
    said = len(operated.log.read_text())
    operated.routers.end()
    operated.meters.stop()
    try:
        known = _knows_no_load(operated.cluster, scaled)
        until(known, "the autoscaler knows no load", seconds=3 * SYNC_SECONDS)
        assert scaled.replicas == 2
        log = operated.log.read_text()[said:]
        assert log.count("does not tell the load") == 1
        assert "is not scaled now" not in log
    finally:
        operated.meters.start()
        operated.routers.start()


def _knows_no_load(cluster: Cluster, scaled: Instance) -> Callable[[], bool]:
    def look() -> bool:
        conditions = cluster.client.json(scaled.autoscaler)["status"]["conditions"]
        return any(one["reason"] == "FailedGetExternalMetric" for one in conditions)

    return look


def _agrees(cluster: Cluster, scaled: Instance, replicas: int) -> Callable[[], bool]:
    def look() -> bool:
        status = cluster.client.json(scaled.autoscaler).get("status", {})
        return bool(status.get("desiredReplicas") == status.get("currentReplicas") == replicas)

    return look
