"""Load acted on, against a cluster in memory."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.unit.operator.bench import INSTANCE, NS, TENANT
from tests.unit.operator.test_autoscale import DEPLOYMENT, Scaling
from tests.unit.operator.test_autoscale import bench as bench

from shimmy_api import names
from shimmy_api.load import LoadTotals
from shimmy_operator.cluster.errors import UnavailableError
from shimmy_operator.cluster.meter import MeterError
from shimmy_operator.cluster.resources import Reference
from shimmy_operator.handlers.scaler import scale
from shimmy_operator.metrics import Metrics
from shimmy_operator.reconcile.memory import ScalingMemory
from shimmy_operator.reconcile.scaler import Scaler

SLEEPY: dict[str, Any] = {"minReplicas": 0, "maxReplicas": 9, "idleSeconds": 60}


ROUTERS = "shimmy-system"


class Operating:
    """A scaler, and routers that tell loads."""

    def __init__(self, bench: Scaling) -> None:
        self.bench = bench
        self.scaler = Scaler(bench.environment)
        self.now = 0.0
        self.routers: list[str] = []
        for name in ("r1", "r2"):
            self.router(name)
            self.routers.append(f"{ROUTERS}/{name}")

    def router(self, name: str, namespace: str = ROUTERS, phase: str = "Running") -> None:
        metadata = {"name": name, "namespace": namespace, "labels": {names.LABEL_ROUTER: "true"}}
        self.bench.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": phase}})

    async def second(self, *holding: str, pods: dict[str, int] | None = None, held: int = 0, peak: int = 0) -> None:
        """A second with some load, after which the instance is looked at."""
        self.now += 1
        load = {name: {"inFlight": number} for name, number in (pods if pods is not None else {"p": 0}).items()}
        total = {
            "namespace": NS,
            "deployment": "chat-tiny",
            "peak": max(peak, held + sum((pods or {}).values())),
            "held": held,
            "pods": load,
            "holding": [name if "/" in name else f"{ROUTERS}/{name}" for name in holding],
        }
        await self.scaler.act(LoadTotals.model_validate({"routers": self.routers, "totals": [total]}), self.now)
        await self.bench.run(INSTANCE)

    async def seconds(self, count: int, *holding: str) -> None:
        for _ in range(count):
            await self.second(*holding)

    @property
    def replicas(self) -> int:
        return int(self.bench.cluster.objects[DEPLOYMENT]["spec"]["replicas"])

    @property
    def state(self) -> str:
        return str(self.bench.model()["state"])


@pytest.fixture
async def operating(bench: Scaling) -> Operating:
    """One ready pod of a model that may sleep."""
    await bench.instance(autoscaling=SLEEPY)
    await bench.scale(1)
    bench.pod("p", 1)
    await bench.run(INSTANCE)
    return Operating(bench)


async def test_a_burst_is_answered_at_once_within_the_share(operating: Operating) -> None:
    await operating.second(pods={"p": 1}, held=4)
    assert operating.replicas == 5
    assert operating.bench.decisions()[0] == (1, 5, "Burst")
    message = operating.bench.status()["autoscaling"]["decisions"][0]["message"]
    assert message == "1 to 5: the load is 5, which asks for 5."
    await operating.second(pods={"p": 1}, held=50)
    assert operating.replicas == 9


async def test_rules_for_scaling_up_leave_a_burst_to_the_autoscaler(operating: Operating) -> None:
    rules = {"behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}}}
    await operating.bench.instance(autoscaling=SLEEPY | rules)
    await operating.second(pods={"p": 1}, held=4)
    assert operating.replicas == 1


async def test_the_last_pod_goes_when_nobody_asks_and_every_router_holds(operating: Operating) -> None:
    await operating.seconds(61)
    assert (operating.state, operating.replicas) == ("Idle", 1)
    await operating.seconds(2, "r1", "r2")
    assert operating.replicas == 1
    await operating.second("r1", "r2")
    assert operating.replicas == 0
    await operating.second("r1", "r2", pods={})
    assert operating.state == "AtZero"
    decision = operating.bench.status()["autoscaling"]["decisions"][0]
    assert decision["reason"] == "Idle"
    assert decision["message"] == "1 to 0: nobody asked for 63 s, and all routers hold (2)."


async def test_a_router_that_does_not_hold_keeps_the_pod(operating: Operating) -> None:
    await operating.seconds(61)
    await operating.seconds(9, "r1")
    assert (operating.state, operating.replicas) == ("Idle", 1)
    await operating.seconds(3, "r1")
    assert (operating.state, operating.replicas) == ("Ready", 1)
    await operating.seconds(50, "r1", "r2")
    assert (operating.state, operating.replicas) == ("Ready", 1)
    await operating.seconds(15, "r1", "r2")
    assert operating.replicas == 0


async def test_a_router_that_is_not_heard_keeps_the_model_ready(operating: Operating) -> None:
    operating.router("r3")
    await operating.seconds(90, "r1", "r2")
    assert (operating.state, operating.replicas) == ("Ready", 1)
    operating.router("r3", phase="Succeeded")
    await operating.seconds(6, "r1", "r2")
    assert operating.replicas == 0


async def test_a_request_while_idle_keeps_the_pod(operating: Operating) -> None:
    await operating.seconds(62, "r1", "r2")
    assert operating.state == "Idle"
    await operating.second("r1", "r2", pods={"p": 1})
    assert (operating.state, operating.replicas) == ("Ready", 1)
    await operating.second("r1", "r2", peak=1)
    assert (operating.state, operating.replicas) == ("Ready", 1)


async def test_a_pod_of_which_nobody_speaks_keeps_the_model_awake(operating: Operating) -> None:
    operating.bench.pod("q", 1)
    await operating.seconds(90, "r1", "r2")
    assert operating.replicas == 1


async def test_a_pod_that_was_refused_is_wanted_no_more_when_nobody_asks(bench: Scaling) -> None:
    await bench.instance(autoscaling=SLEEPY)
    await bench.scale(1, ready=0)
    bench.refuse("chat-tiny")
    await bench.run(INSTANCE)
    operating = Operating(bench)
    for _ in range(90):
        await operating.second("r1", "r2", pods={}, held=1)
    assert operating.replicas == 1
    for _ in range(66):
        await operating.second("r1", "r2", pods={})
    assert operating.replicas == 0


async def test_a_least_above_zero_keeps_the_last_pod(operating: Operating) -> None:
    await operating.bench.instance(autoscaling=SLEEPY | {"minReplicas": 1})
    await operating.seconds(90, "r1", "r2")
    assert (operating.state, operating.replicas) == ("Ready", 1)


async def test_a_tenants_own_router_is_the_one_that_must_hold(operating: Operating) -> None:
    operating.bench.put(TENANT, {"router": "Dedicated"})
    operating.router("own", NS)
    operating.routers.append(f"{NS}/own")
    await operating.seconds(66, f"{NS}/own")
    assert operating.replicas == 0


async def test_whoever_else_tells_loads_elsewhere_keeps_nobody_awake(operating: Operating) -> None:
    operating.routers.append("shimmy-other/ghost")
    await operating.seconds(66, "r1", "r2")
    assert operating.replicas == 0


async def test_a_router_of_the_same_name_elsewhere_is_another_one(operating: Operating) -> None:
    operating.bench.put(TENANT, {"router": "Dedicated"})
    operating.router("own", NS)
    operating.routers += [f"{ROUTERS}/own", f"{NS}/own"]
    await operating.seconds(90, f"{ROUTERS}/own")
    assert operating.replicas == 1


async def test_a_metrics_server_that_goes_away_while_a_model_is_idle_leaves_it_ready(operating: Operating) -> None:
    await operating.seconds(61)
    operating.scaler.lose()
    await operating.bench.run(INSTANCE)
    assert operating.state == "Ready"
    operating.now += 31
    await operating.seconds(50, "r1", "r2")
    assert operating.replicas == 1


async def test_an_operator_that_restarts_while_a_model_is_idle_begins_anew(operating: Operating) -> None:
    await operating.seconds(61, "r1", "r2")
    assert operating.state == "Idle"
    bench = operating.bench
    bench.environment = replace(bench.environment, scaling=ScalingMemory())
    operating.scaler = Scaler(bench.environment)
    await bench.run(INSTANCE)
    assert operating.state == "Ready"
    await operating.seconds(59, "r1", "r2")
    assert (operating.state, operating.replicas) == ("Ready", 1)
    await operating.seconds(7, "r1", "r2")
    assert operating.replicas == 0


async def test_pods_say_what_would_be_lost_with_them_before_some_go(operating: Operating) -> None:
    bench = operating.bench
    await bench.scale(4)
    for name in ("q", "r"):
        bench.pod(name, 1)

    def costs() -> dict[str, str]:
        pods = {name: bench.child("Pod", name)["metadata"].get("annotations", {}) for name in ("p", "q", "r")}
        return {name: found["controller.kubernetes.io/pod-deletion-cost"] for name, found in pods.items() if found}

    metadata = {"name": "other", "namespace": NS}
    bench.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
    await operating.second(pods={"p": 1, "q": 0, "r": 1, "other": 1})
    assert "annotations" not in bench.child("Pod", "other")["metadata"]
    assert costs() == {"p": "1", "r": "1"}
    await operating.second(pods={"p": 0, "q": 1, "r": 0})
    assert costs() == {"p": "1", "q": "1", "r": "1"}
    operating.now += 60
    await operating.second(pods={"p": 0, "q": 1, "r": 0})
    assert costs() == {"p": "0", "q": "1", "r": "0"}


async def test_pods_say_what_they_have_to_do_before_the_autoscaler_may_look(operating: Operating) -> None:
    bench = operating.bench
    await bench.scale(2)
    bench.pod("q", 1)
    written = bench.cluster.writes
    await operating.second(pods={"p": 1, "q": 1})
    written.clear()
    for _ in range(24):
        await operating.second(pods={"p": 1, "q": 0}, peak=2)
    assert written == []
    await operating.second(pods={"p": 1, "q": 0}, peak=2)  # the peak is over in 5 s
    assert bench.child("Pod", "p")["metadata"]["annotations"] == {"controller.kubernetes.io/pod-deletion-cost": "1"}


async def test_pods_say_what_they_have_to_do_when_their_share_gets_smaller(operating: Operating) -> None:
    bench = operating.bench
    await bench.scale(3)
    for name in ("q", "r"):
        bench.pod(name, 1)
    await bench.instance(autoscaling=SLEEPY | {"maxReplicas": 2})
    await operating.second(pods={"p": 2, "q": 0, "r": 1})
    costs = [bench.child("Pod", name)["metadata"].get("annotations") for name in ("p", "q", "r")]
    key = "controller.kubernetes.io/pod-deletion-cost"
    assert costs == [{key: "2"}, None, {key: "1"}]


async def test_at_rest_nothing_is_written(operating: Operating) -> None:
    await operating.bench.instance(autoscaling=SLEEPY | {"minReplicas": 1})
    await operating.second()
    operating.bench.cluster.writes.clear()
    await operating.seconds(90, "r1", "r2")
    assert operating.bench.cluster.writes == []


async def test_an_idle_pod_of_lower_priority_gives_way(operating: Operating) -> None:
    bench = operating.bench
    bench.put(TENANT, {"quota": {"gpus": 2}})
    await bench.instance(gpu={}, autoscaling=SLEEPY | {"idleSeconds": 86_400})
    await bench.instance(name="urgent", gpu={}, autoscaling={"maxReplicas": 9, "priority": 5})
    urgent = Reference("Deployment", NS, "urgent-tiny")
    await operating.second()
    bench.environment.scaling.peaks[urgent] = 2
    await bench.run(INSTANCE)
    for _ in range(6):
        bench.environment.scaling.peaks[urgent] = 2
        await operating.second("r1", "r2")
        bench.environment.scaling.peaks[urgent] = 2
        await bench.run(INSTANCE)
    assert operating.replicas == 0


async def test_when_nobody_asks_any_more_the_instance_is_looked_at_for_others_to_have_its_pods(
    operating: Operating,
) -> None:
    await operating.second(pods={"p": 1})
    operating.bench.delays.clear()
    await operating.second()
    assert operating.bench.delays == [0]
    await operating.second()
    assert operating.bench.delays == [0]


async def test_one_deployment_that_cannot_be_scaled_does_not_stop_the_others(
    operating: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    async def refuse(reference: Reference, *_: object) -> None:
        tried.append(reference.name)
        raise UnavailableError("503: not now")

    monkeypatch.setattr(operating.bench.cluster, "scale", refuse)
    await operating.second(pods={"p": 1}, held=4)
    await operating.second(pods={"p": 1}, held=4)
    assert tried == ["chat-tiny", "chat-tiny"]


class Asked:
    """A metrics server that is there, away, and there again."""

    def __init__(self) -> None:
        self.answers: list[LoadTotals | None] = [None, None, LoadTotals(routers=(), totals=()), None]
        self.ended = asyncio.Event()

    async def __call__(self) -> LoadTotals:
        if not self.answers:
            self.ended.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if answer is None:
            raise MeterError("away")
        return answer


async def test_that_the_metrics_server_is_away_is_logged_once(
    bench: Scaling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shimmy_operator.handlers.scaler._SECONDS", 0.0)
    caplog.set_level("INFO")
    asked, metrics = Asked(), Metrics()
    looking = asyncio.create_task(scale(asked, Scaler(bench.environment), metrics))
    await asyncio.wait_for(asked.ended.wait(), 5)
    looking.cancel()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert _value(metrics.registry, "shimmy_operator_meter_looks_total", result="failed") == 3
    assert _value(metrics.registry, "shimmy_operator_meter_up") == 0


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)
