"""On the way down the pods with the least work go first."""

from collections.abc import Callable

from tests.cluster.operated import PEAK_SECONDS, SYNC_SECONDS, Instance, Operated

from devkit.waiting import until
from shimmy_api.names import ANNOTATION_DELETION_COST as COST


def test_the_pod_with_the_least_work_goes_first(operated: Operated) -> None:
    autoscaling = {
        "maxReplicas": 3,
        "targetUtilization": 400,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    seconds = PEAK_SECONDS + 2 * SYNC_SECONDS
    with operated.instance("busy", autoscaling) as busy:
        operated.routers.loads["busy"] = 12
        busy.wait_ready(3)
        # The newest, which Kubernetes would take first, has the most to do.
        least, middle, most = sorted(busy.pods(), key=_age(busy))

        operated.routers.pods["busy"] = {least: 1, middle: 2, most: 4}
        until(lambda: _costs(busy) == {least: "1", middle: "2", most: "4"}, "the pods say so", seconds=seconds)
        assert busy.replicas == 3
        # While the autoscaler still sees the load of before, it falls further: two pods are enough, and then one is.
        operated.routers.pods["busy"] = {middle: 1, most: 2}
        until(lambda: len(busy.pods()) == 2, "one goes", seconds=seconds)
        assert busy.pods().keys() == {middle, most}
        until(lambda: len(busy.pods()) == 1, "another one goes", seconds=seconds)
        assert busy.pods().keys() == {most}


def _age(instance: Instance) -> Callable[[str], tuple[str, str]]:
    pods = instance.pods()

    def when(name: str) -> tuple[str, str]:
        (ready,) = (one for one in pods[name]["status"]["conditions"] if one["type"] == "Ready")
        return ready["lastTransitionTime"], pods[name]["metadata"]["creationTimestamp"]

    return when


def _costs(instance: Instance) -> dict[str, str | None]:
    pods = instance.pods()
    return {name: (pod["metadata"].get("annotations") or {}).get(COST) for name, pod in pods.items()}
