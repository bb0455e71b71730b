"""A tenant's GPUs that are too few go by priority, and nobody who works loses the last pod."""

import re

from tests.cluster.operated import GPUS, PEAK_SECONDS, SYNC_SECONDS, Operated

from devkit.waiting import until

SLEEPY = {"minReplicas": 0, "maxReplicas": 9, "idleSeconds": 3600}
REMEDY = "Raise spec.quota.gpus of the tenant, or spec.autoscaling.priority."


def test_the_last_gpu_goes_to_the_higher_priority(operated: Operated) -> None:
    with (
        operated.instance("slow", SLEEPY, gpu={}) as slow,
        operated.instance("fast", SLEEPY | {"priority": 5}, gpu={}) as fast,
    ):
        for one in (slow, fast):
            operated.routers.wake(one.name)
            one.wait_state("Ready")

        operated.routers.loads.update(slow=GPUS, fast=GPUS)
        fast.wait_ready(GPUS - 1)
        has = f"the tenant has {GPUS} GPUs to share; shares: fast-tiny {GPUS - 1}, slow-tiny 1. {REMEDY}"
        slow.wait_condition("ScalingLimited", f"tiny wants {GPUS} pods and may have 1: {has}")
        assert slow.replicas == 1


def test_an_idle_pod_gives_way_to_the_higher_priority_and_none_that_works(operated: Operated) -> None:
    gpu = {"count": GPUS}  # one pod has them all
    with (
        operated.instance("calm", SLEEPY, gpu=gpu) as calm,
        operated.instance("urgent", SLEEPY | {"priority": 5}, gpu=gpu) as urgent,
    ):
        operated.routers.wake("calm")
        calm.wait_state("Ready")
        operated.routers.wake("urgent")
        has = f"the tenant has {GPUS} GPUs to share; shares: urgent-tiny 0, calm-tiny 1. {REMEDY}"
        urgent.wait_condition("ScalingLimited", f"tiny wants 1 pods and may have 0: {has}")
        model = urgent.model
        assert model["state"] == "Waking"
        assert "exceeded quota: shimmy-quota" in model["message"]
        assert calm.condition("ScalingLimited") is None

        operated.routers.loads["calm"] = 0
        calm.wait(0, seconds=PEAK_SECONDS + SYNC_SECONDS)
        urgent.wait_state("Ready")
        until(lambda: urgent.condition("ScalingLimited") is None, "it has enough", seconds=SYNC_SECONDS)
        calm.wait_decision((1, 0, "Idle"))
        (rested,) = re.findall(r"nobody asked for (\d+) s", calm.messages()[0])
        assert int(rested) >= PEAK_SECONDS

        # The other way round the one that works, and has the higher priority, stays.
        operated.routers.wake("calm")
        has = f"the tenant has {GPUS} GPUs to share; shares: urgent-tiny 1, calm-tiny 0. {REMEDY}"
        calm.wait_condition("ScalingLimited", f"tiny wants 1 pods and may have 0: {has}")
        assert (calm.model["state"], urgent.model["state"]) == ("Waking", "Ready")
