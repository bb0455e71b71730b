"""An instance whose number of pods load decides, against a cluster in memory."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.bench import INSTANCE, MODEL, NS, RESULT, TENANT, Bench, finish

from shimmy_operator.cluster.errors import ConflictError
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.autoscale import set_replicas

DEPLOYMENT = Reference("Deployment", NS, "chat-tiny")
AUTOSCALER = Reference("HorizontalPodAutoscaler", NS, "chat-tiny")
BINDING = Reference("RoleBinding", NS, "shimmy-router-scale")


class Scaling(Bench):
    """A bench with models that are checked."""

    async def instance(self, models: tuple[str, ...] = ("tiny",), name: str = "chat", **spec: Any) -> Reference:
        key = Reference("ShimmyInstance", NS, name)
        self.put(key, {"models": list(models), **spec})
        await self.run(key)
        return key

    async def scale(self, replicas: int, name: str = "chat-tiny", *, ready: int | None = None) -> None:
        """Do what an autoscaler or a router does, and let that many pods be ready."""
        key = Reference("Deployment", NS, name)
        await self.cluster.scale(key, replicas, self.cluster.objects[key]["metadata"]["resourceVersion"])
        self.cluster.put(
            {**self.cluster.objects[key], "status": {"readyReplicas": replicas if ready is None else ready}}
        )

    def load(self, load: int, name: str = "chat-tiny") -> None:
        """Let an autoscaler see a load."""
        autoscaler = self.cluster.objects[Reference("HorizontalPodAutoscaler", NS, name)]
        replicas = self.cluster.objects[Reference("Deployment", NS, name)]["spec"]["replicas"]
        metric = {"type": "External", "external": {"current": {"averageValue": f"{-(-load * 1000 // replicas)}m"}}}
        self.cluster.put({**autoscaler, "status": {"currentReplicas": replicas, "currentMetrics": [metric]}})

    def refuse(self, name: str, there: int = 0) -> None:
        """Let Kubernetes make no more pods of a Deployment."""
        condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: shimmy-quota"}
        deployment = self.cluster.objects[Reference("Deployment", NS, name)]
        self.cluster.put({**deployment, "status": {"replicas": there, "conditions": [condition]}})

    def use_gpus(self, used: str, hard: str) -> None:
        """Let Kubernetes count the GPUs of the tenant's pods."""
        bound = "requests.nvidia.com/gpu"
        quota = self.cluster.objects[Reference("ResourceQuota", NS, "shimmy-quota")]
        self.cluster.put({**quota, "status": {"hard": {bound: hard}, "used": {bound: used}}})

    def blind(self, reason: str, name: str = "chat-tiny") -> None:
        """Let an autoscaler see no load from now on."""
        autoscaler = self.cluster.objects[Reference("HorizontalPodAutoscaler", NS, name)]
        since = self.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": "ScalingActive", "status": "False", "reason": reason, "message": "no metrics returned"}
        self.cluster.put({**autoscaler, "status": {"conditions": [{**condition, "lastTransitionTime": since}]}})

    def pod(self, name: str, seconds: int | None, message: str = "") -> None:
        """Have a pod of tiny that was ready after some seconds; or not yet, for what the scheduler says."""
        labels = self.cluster.objects[DEPLOYMENT]["spec"]["selector"]["matchLabels"]
        made = self.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {"name": name, "namespace": NS, "labels": labels, "creationTimestamp": made}
        conditions: list[Manifest] = [{"type": "Ready", "status": "False", "lastTransitionTime": made}]
        if seconds is not None:
            created = datetime.fromisoformat(self.created.setdefault(name, made))
            ready = (created + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
            conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready}]
        if message:
            conditions.append(
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            )
        metadata["creationTimestamp"] = self.created.setdefault(name, made)
        self.cluster.put(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"conditions": conditions}}
        )

    created: dict[str, str]

    def status(self, key: Reference = INSTANCE) -> Manifest:
        found: Manifest = self.cluster.objects[key]["status"]
        return found

    def model(self, name: str = "tiny") -> Manifest:
        return next(one for one in self.status()["models"] if one["name"] == name)

    def decisions(self) -> list[tuple[int, int, str]]:
        found = self.status()["autoscaling"].get("decisions") or ()
        return [(one["before"], one["after"], one["reason"]) for one in found]

    def bounds(self, name: str = "chat-tiny") -> tuple[int, int]:
        spec = self.child("HorizontalPodAutoscaler", name)["spec"]
        return spec["minReplicas"], spec["maxReplicas"]

    def condition(self, kind: str, key: Reference = INSTANCE) -> Manifest | None:
        return next((one for one in self.status(key)["conditions"] if one["type"] == kind), None)


@pytest.fixture
async def bench() -> Scaling:
    bench = Scaling()
    bench.created = {}
    bench.put(TENANT, {})
    await bench.run(TENANT)
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": NS}}
    bench.cluster.put({**claim, "spec": {}})
    for name in ("tiny", "big"):
        key = Reference("ShimmyModel", NS, name)
        bench.put(key, {"backend": {"gguf": {"source": f"pvc://models/{name}.gguf"}}})
        await bench.run(key)
        finish(bench, 0, json.dumps(RESULT), name)
        await bench.run(key)
    return bench


async def test_an_instance_at_rest_writes_nothing(bench: Scaling) -> None:
    await bench.instance(autoscaling={"minReplicas": 0, "maxReplicas": 3})
    await bench.run(TENANT)
    bench.cluster.writes.clear()
    await bench.run(TENANT, MODEL, INSTANCE)
    assert bench.cluster.writes == []


async def test_a_new_instance_begins_with_the_least_and_one_write_per_child(bench: Scaling) -> None:
    bench.cluster.writes.clear()
    await bench.instance(replicas=9, autoscaling={"minReplicas": 2, "maxReplicas": 3})
    assert bench.child("Deployment", "chat-tiny")["spec"]["replicas"] == 2
    assert bench.bounds() == (2, 3)
    assert len(bench.cluster.writes) == len(set(bench.cluster.writes)) == 4


async def test_a_number_that_has_just_changed_is_not_overwritten(bench: Scaling) -> None:
    await bench.instance(autoscaling={"maxReplicas": 9})
    stale = bench.cluster.objects[DEPLOYMENT]
    await bench.scale(5)
    bench.cluster.store.remove(bench.cluster.objects[DEPLOYMENT])
    bench.cluster.store.put(stale)  # the watch has not told of it yet
    with pytest.raises(ConflictError):
        await bench.instance(autoscaling={"maxReplicas": 9}, engine={"resources": {"cpu": "7"}})
    assert bench.child("Deployment", "chat-tiny")["spec"]["replicas"] == 5


async def test_what_others_do_to_the_number_is_told_with_the_load(bench: Scaling) -> None:
    await bench.instance(autoscaling={"minReplicas": 0, "maxReplicas": 9})
    await bench.scale(1, ready=0)
    await bench.run(INSTANCE)
    bench.load(4)
    await bench.scale(4)
    await bench.run(INSTANCE)
    assert bench.decisions() == [(1, 4, "Load"), (0, 1, "Woken")]
    assert bench.status()["autoscaling"]["decisions"][0]["message"] == "1 to 4: the load is 4."
    events = [event for event in bench.cluster.events if event["reason"] in {"Load", "Woken"}]
    assert [event["note"] for event in events] == ["tiny: 0 to 1: a request came.", "tiny: 1 to 4: the load is 4."]
    for replicas in (5, 6, 7, 8):
        await bench.scale(replicas)
        await bench.run(INSTANCE)
    assert [after for _, after, _ in bench.decisions()] == [8, 7, 6, 5, 4]
    await bench.scale(0)
    await bench.run(INSTANCE)
    assert bench.decisions()[0] == (8, 0, "Set")


async def test_a_model_that_wakes_says_what_the_scheduler_says(bench: Scaling) -> None:
    await bench.instance(autoscaling={"minReplicas": 0, "maxReplicas": 3})
    assert bench.ready(INSTANCE) == ("True", "AtZero")
    assert bench.model()["state"] == "AtZero"
    await bench.scale(1, ready=0)
    bench.pod("a", None, "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
    await bench.run(INSTANCE)
    assert bench.ready(INSTANCE) == ("False", "Waking")
    assert "Insufficient nvidia.com/gpu" in bench.model()["message"]
    await bench.scale(1)
    await bench.run(INSTANCE)
    assert bench.ready(INSTANCE) == ("True", "Serving")


async def test_one_model_that_sleeps_does_not_hide_what_is_the_matter_with_another(bench: Scaling) -> None:
    await bench.instance(("tiny", "big"), autoscaling={"minReplicas": 0, "maxReplicas": 9})
    await bench.scale(3, ready=1)
    await bench.run(INSTANCE)
    assert bench.ready(INSTANCE) == ("True", "Degraded")


async def test_cold_starts_are_those_that_were_seen(bench: Scaling) -> None:
    await bench.instance(autoscaling={"maxReplicas": 9})
    bench.pod("before", 5)
    await bench.run(INSTANCE)
    assert "coldStarts" not in bench.model()
    for number, seconds in enumerate((30, 10, 20)):
        bench.pod(f"p{number}", None)
        await bench.run(INSTANCE)
        bench.pod(f"p{number}", seconds)
        bench.time += timedelta(seconds=20)
        await bench.run(INSTANCE)
    expected = {"recentSeconds": [30, 10, 20], "medianSeconds": 20, "p95Seconds": 30}
    assert bench.model()["coldStarts"] == expected
    bench.environment.scaling.starts.clear()  # a restart
    bench.time += timedelta(seconds=20)
    await bench.run(INSTANCE)
    assert bench.model()["coldStarts"] == expected


async def test_a_schedule_moves_the_bounds_and_is_looked_at_again_when_it_ends(bench: Scaling) -> None:
    office = {"name": "office", "start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 2, "maxReplicas": 6}
    spec: Manifest = {"autoscaling": {"minReplicas": 0, "maxReplicas": 3, "schedules": [office]}}
    await bench.instance(**spec)
    assert bench.bounds() == (1, 3)
    assert bench.delays[-1] == 8 * 3600 + 1
    bench.time = datetime(2026, 1, 1, 8, tzinfo=UTC)
    await bench.run(INSTANCE)
    await bench.run(INSTANCE)
    assert bench.bounds() == (2, 6)
    assert bench.status()["autoscaling"]["schedules"] == ["office"]
    assert bench.child("Deployment", "chat-tiny")["spec"]["replicas"] == 2
    assert bench.decisions() == [(0, 2, "Schedule")]
    assert bench.delays[-1] == 10 * 3600 + 1


async def test_an_autoscaler_goes_before_the_number_is_applied(bench: Scaling) -> None:
    await bench.instance(autoscaling={"maxReplicas": 9})
    await bench.scale(5)
    bench.cluster.writes.clear()
    await bench.instance(replicas=5)
    assert bench.cluster.writes[:2] == [f"delete {AUTOSCALER}", f"apply {DEPLOYMENT}"]
    assert bench.child("Deployment", "chat-tiny")["spec"]["replicas"] == 5
    assert "autoscaling" not in bench.status()


async def test_models_share_the_upper_bound_and_what_loses_comes_first(bench: Scaling) -> None:
    spec: Manifest = {"autoscaling": {"maxReplicas": 4}}
    await bench.instance(("tiny", "big"), **spec)
    assert (bench.bounds("chat-tiny"), bench.bounds("chat-big")) == ((1, 2), (1, 2))
    bench.load(3)
    bench.cluster.writes.clear()
    await bench.run(INSTANCE)
    assert (bench.bounds("chat-tiny"), bench.bounds("chat-big")) == ((1, 3), (1, 1))
    lowered = Reference("HorizontalPodAutoscaler", NS, "chat-big")
    assert bench.cluster.writes == [f"apply {lowered}", f"apply {AUTOSCALER}"]
    assert bench.condition("ScalingLimited") is None
    bench.load(5)
    await bench.run(INSTANCE)
    limited = bench.condition("ScalingLimited")
    assert limited is not None
    assert limited["message"] == (
        "tiny wants 5 pods and may have 3: maxReplicas is 4; shares: chat-tiny 3, chat-big 1."
        " Raise spec.autoscaling.maxReplicas."
    )


async def test_models_on_shared_pods_have_one_autoscaler(bench: Scaling) -> None:
    await bench.instance(("tiny", "big"), placement="Shared", autoscaling={"minReplicas": 0, "maxReplicas": 4})
    assert bench.bounds("chat--slots") == (1, 4)
    assert bench.child("Deployment", "chat--slots")["spec"]["replicas"] == 0
    await bench.scale(2, "chat--slots")
    await bench.run(INSTANCE)
    assert bench.decisions() == [(0, 2, "Woken")]
    assert bench.status()["autoscaling"]["decisions"][0].get("model", "") == ""


async def test_a_tenants_gpus_go_to_the_instance_of_higher_priority(bench: Scaling) -> None:
    bench.put(TENANT, {"quota": {"gpus": 4}})
    other = Reference("ShimmyInstance", NS, "urgent")
    spec: Manifest = {"gpu": {"count": 1}, "autoscaling": {"maxReplicas": 9}}
    await bench.instance(**spec)
    await bench.instance(name="urgent", gpu={"count": 1}, autoscaling={"maxReplicas": 9, "priority": 5})
    await bench.run(INSTANCE, other)
    bench.load(9)
    bench.load(3, "urgent-tiny")
    await bench.run(INSTANCE, other)
    assert (bench.bounds(), bench.bounds("urgent-tiny")) == ((1, 1), (1, 3))
    limited = bench.condition("ScalingLimited")
    assert limited is not None
    assert "the tenant has 4 GPUs to share; shares: urgent-tiny 3, chat-tiny 1" in limited["message"]
    assert bench.condition("ScalingLimited", other) is None


async def test_a_pod_that_the_quota_refused_is_tried_again_once_there_is_room(bench: Scaling) -> None:
    bench.put(TENANT, {"quota": {"gpus": 1}})
    await bench.run(TENANT)
    sleepy = {"minReplicas": 0, "maxReplicas": 9}
    chat = await bench.instance(gpu={}, autoscaling=sleepy)
    urgent = await bench.instance(name="urgent", gpu={}, autoscaling=sleepy | {"priority": 5})
    for name in ("chat-tiny", "urgent-tiny"):
        await bench.scale(1, name, ready=0)
        bench.refuse(name)
    bench.use_gpus("2k", "2k")
    await bench.run(chat, urgent)
    limited = bench.condition("ScalingLimited")
    assert limited is not None
    assert limited["message"].startswith("tiny wants 1 pods and may have 0: the tenant has 1 GPUs to share;")
    assert bench.model()["message"] == "no pod may be made: exceeded quota: shimmy-quota"
    bench.cluster.writes.clear()
    await bench.run(chat, urgent)
    assert bench.cluster.writes == []
    bench.use_gpus("1999", "2k")
    await bench.run(chat, urgent)
    await bench.run(chat, urgent)
    assert bench.cluster.writes == [f"annotate {Reference('Deployment', NS, 'urgent-tiny')}"]


async def test_the_router_may_start_pods_only_where_an_instance_may_have_none(bench: Scaling) -> None:
    await bench.instance(autoscaling={"maxReplicas": 3})
    await bench.run(TENANT)
    assert BINDING not in bench.cluster.objects
    night = {"name": "night", "start": "0 20 * * *", "end": "0 6 * * *", "minReplicas": 0}
    await bench.instance(autoscaling={"maxReplicas": 3, "schedules": [night]})
    await bench.run(TENANT)
    subject = {"kind": "ServiceAccount", "name": "shimmy-router", "namespace": "shimmy-system"}
    assert bench.cluster.objects[BINDING]["subjects"] == [subject]
    bench.put(TENANT, {"router": "Dedicated"})
    await bench.run(TENANT)
    assert bench.cluster.objects[BINDING]["subjects"] == [subject | {"name": "shimmyrouter", "namespace": NS}]
    bench.cluster.drop(INSTANCE)
    await bench.run(TENANT)
    assert BINDING not in bench.cluster.objects


async def test_an_instance_that_may_sleep_concerns_its_tenant(bench: Scaling) -> None:
    asked: set[Reference] = set()
    bench.environment.relations.listen(asked.add)
    bench.put(INSTANCE, {"models": ["tiny"], "autoscaling": {"maxReplicas": 3}})
    assert asked == set()
    bench.put(INSTANCE, {"models": ["tiny"], "autoscaling": {"minReplicas": 0, "maxReplicas": 3}})
    assert asked == {TENANT}


async def test_an_autoscaler_that_sees_no_load_for_long_is_told(bench: Scaling) -> None:
    key = await bench.instance(autoscaling={"maxReplicas": 4})
    bench.blind("FailedGetExternalMetric")
    await bench.run(key)
    assert bench.condition("LoadKnown") is None
    assert bench.delays[-1] == 60
    bench.time += timedelta(seconds=60)
    await bench.run(key)
    told = bench.condition("LoadKnown")
    assert told is not None
    assert (told["status"], told["reason"]) == ("False", "NoLoad")
    assert "no metrics returned" in told["message"]
    bench.load(1)
    await bench.run(key)
    assert bench.condition("LoadKnown") is None


async def test_an_autoscaler_of_a_model_that_sleeps_need_see_no_load(bench: Scaling) -> None:
    key = await bench.instance(autoscaling={"minReplicas": 0, "maxReplicas": 4})
    bench.blind("ScalingDisabled")
    bench.time += timedelta(seconds=90)
    await bench.run(key)
    assert bench.condition("LoadKnown") is None


async def test_why_a_number_is_set_is_known_before_the_answer_comes(
    bench: Scaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.instance(autoscaling={"minReplicas": 0, "maxReplicas": 4})
    scale = bench.cluster.scale

    async def seen_first(key: Reference, replicas: int, version: str) -> None:
        await scale(key, replicas, version)
        await bench.run(INSTANCE)

    monkeypatch.setattr(bench.cluster, "scale", seen_first)
    await set_replicas(bench.environment, bench.child("Deployment", "chat-tiny"), 3, "tiny", "Burst", "0 to 3.")
    assert bench.decisions() == [(0, 3, "Burst")]


async def test_a_number_that_could_not_be_set_is_not_told(bench: Scaling) -> None:
    await bench.instance(autoscaling={"minReplicas": 0, "maxReplicas": 4})
    stale = bench.child("Deployment", "chat-tiny")
    await bench.scale(3)
    with pytest.raises(ConflictError):
        await set_replicas(bench.environment, stale, 3, "tiny", "Burst", "0 to 3.")
    await bench.run(INSTANCE)
    assert bench.decisions() == [(0, 3, "Woken")]
