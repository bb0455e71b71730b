"""Requests for models without a pod: held within bounds, in turn, and let go as pods can take them."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from shimmy_api import errors
from shimmy_api.access import TenantLimits
from shimmy_router.fleet import Hold, Model, Pool, Tenant
from shimmy_router.processing import Admitted, Call, Refused
from shimmy_router.records import Endpoint
from shimmy_router.wake.holds import Holds
from shimmy_router.wake.metrics import WakeMetrics
from shimmy_router.xds.endpoints import Address

POD = Endpoint("192.0.2.1", 8080, pod="p", instance="i")


@dataclass
class World:
    """A router, of which the test says everything."""

    now: float = 0.0
    woken: list[str] = field(default_factory=list)
    acknowledged: bool = True
    loads: dict[Address, float] = field(default_factory=dict)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        metrics = WakeMetrics(self.registry)
        self.holds = Holds(self, metrics, lambda _: self.acknowledged, lambda _: self.loads, lambda: self.now)

    def wake(self, namespace: str, model: Model) -> None:
        self.woken.append(f"{namespace}/{model.pools[0].deployment}")

    def model(
        self, *pods: Endpoint, name: str = "m", seconds: int = 60, most: int = 10, cold: int = 0, depth: int = 1
    ) -> None:
        """What tenant a has from now on."""
        hold = Hold(seconds, most, cold)
        pools = (Pool("i", f"i-{name}"),)
        ready = any(not pod.draining for pod in pods)
        found = Model(
            name, "a", hold=hold, pools=pools, endpoints=pods, ready=ready, asleep=not ready, queue_depth=depth
        )
        self.holds.follow("a", Tenant("a", "shimmy-a", models=(found,)))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"tenant": "a", "model": "m", **labels})


@pytest.fixture
def world() -> World:
    return World()


def call(tenant: str = "a", *, model: str = "m", stands_in: bool = False) -> Call:
    return Call(tenant, hold=f"a/{model}", stands_in=stands_in)


async def begun(*requests: Awaitable[Admitted | Refused]) -> list[asyncio.Task[Admitted | Refused]]:
    """They wait, in this order."""
    tasks = []
    for request in requests:
        tasks.append(asyncio.ensure_future(request))
        await asyncio.sleep(0)
    return tasks


async def test_a_request_waits_until_envoy_has_a_ready_pod_and_is_told_how_long_it_waited(world: World) -> None:
    world.model()
    (task,) = await begun(world.holds.decide(call()))
    assert world.woken == ["shimmy-a/i-m"]
    assert world.value("shimmy_router_held_requests") == 1
    world.now, world.acknowledged = 2.5, False
    world.model(POD)
    world.holds.release()
    await asyncio.sleep(0)
    assert not task.done()
    world.acknowledged = True
    world.holds.release()
    assert await task == Admitted({"x-shimmy-wait": "2.500"})
    assert world.value("shimmy_router_held_requests") == 0
    assert world.value("shimmy_router_holds_total", outcome="admitted") == 1


async def test_while_a_pod_is_ready_nothing_waits(world: World) -> None:
    world.model(POD)
    assert await world.holds.decide(call()) == Admitted()
    assert world.woken == []


async def test_a_request_whose_model_is_not_known_goes_on(world: World) -> None:
    assert await world.holds.decide(call(model="gone")) == Admitted()


async def test_what_waits_for_a_model_that_is_removed_goes_on_to_be_refused_by_its_route(world: World) -> None:
    world.model()
    (task,) = await begun(world.holds.decide(call()))
    world.holds.follow("a", None)
    world.holds.release()
    assert await task == Admitted({"x-shimmy-wait": "0.000"})


async def test_where_another_model_answers_the_model_is_woken_and_nothing_waits(world: World) -> None:
    world.model()
    assert await world.holds.decide(call(stands_in=True)) == Admitted()
    assert world.woken == ["shimmy-a/i-m"]


async def test_past_the_longest_hold_the_answer_says_when_the_model_should_be_there(world: World) -> None:
    world.model(seconds=0, cold=40)
    refused = await world.holds.decide(call())
    assert refused == Refused(errors.MODEL_WAKING, {"retry-after": "40"})
    assert world.woken == ["shimmy-a/i-m"]


async def test_a_request_is_held_no_longer_than_its_instance_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shimmy_router.wake.holds.asyncio.timeout", lambda _: asyncio.timeout_at(0))
    world.model()
    assert await world.holds.decide(call()) == Refused(errors.MODEL_WAKING, {"retry-after": "10"})
    assert world.holds.held("a/m") == 0


async def test_no_more_are_held_than_the_instance_allows(world: World) -> None:
    world.model(most=1, cold=30)
    (task,) = await begun(world.holds.decide(call()))
    world.now = 12.0
    assert await world.holds.decide(call("b")) == Refused(errors.TOO_MANY_HELD, {"retry-after": "18"})
    task.cancel()


async def test_no_more_of_a_tenant_are_held_than_its_limit_allows_over_all_its_models(world: World) -> None:
    hold, pools = Hold(60, 10), (Pool("i", "d"),)
    models = tuple(Model(name, "a", hold=hold, pools=pools, asleep=True) for name in ("m", "n"))
    world.holds.follow("a", Tenant("a", "shimmy-a", models=models, limits=TenantLimits(held=1)))
    (task,) = await begun(world.holds.decide(call(model="m")))
    assert isinstance(await world.holds.decide(call(model="n")), Refused)
    (other,) = await begun(world.holds.decide(call("b", model="n")))
    assert not other.done()
    for held in (task, other):
        held.cancel()


async def test_a_client_that_leaves_frees_its_place(world: World) -> None:
    world.model(most=1)
    (task,) = await begun(world.holds.decide(call()))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.holds.held("a/m") == 0
    assert world.value("shimmy_router_holds_total", outcome="left") == 1


async def test_as_many_go_on_as_pods_can_take_and_tenants_take_turns(world: World) -> None:
    world.model()
    order: list[str] = []

    async def ask(tenant: str, number: int) -> Admitted | Refused:
        answer = await world.holds.decide(call(tenant))
        order.append(f"{tenant}{number}")
        return answer

    tasks = await begun(*(ask(tenant, number) for tenant, number in [("a", 1), ("a", 2), ("a", 3), ("b", 1)]))
    world.model(POD, depth=1)
    world.holds.release()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["a1", "b1"]
    world.now, world.loads[POD.address, POD.port] = 1.0, 2.0
    world.holds.release()
    await asyncio.sleep(0)
    assert len(order) == 2
    world.now, world.loads[POD.address, POD.port] = 2.0, 0.0
    world.holds.release()
    await asyncio.gather(*tasks)
    assert order == ["a1", "b1", "a2", "a3"]


async def test_the_loop_lets_go_what_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shimmy_router.wake.holds._STEP_SECONDS", 0.001)
    world.model()
    loop = asyncio.create_task(world.holds.run())
    (task,) = await begun(world.holds.decide(call()))
    world.model(POD)
    assert isinstance(await task, Admitted)
    loop.cancel()


async def test_of_a_model_that_is_gone_no_series_stays(world: World) -> None:
    world.model(POD)
    world.model(seconds=0)
    await world.holds.decide(call())
    assert world.value("shimmy_router_holds_total", outcome="model_waking") == 1
    world.holds.follow("a", None)
    assert world.value("shimmy_router_holds_total", outcome="model_waking") is None
    assert list(world.holds.models()) == []


@pytest.mark.parametrize("left", [False, True], ids=["let go", "left by its client"])
async def test_a_request_that_is_held_while_its_model_goes_leaves_no_series(world: World, *, left: bool) -> None:
    world.model()
    tasks = await begun(world.holds.decide(call()), world.holds.decide(call()))
    world.holds.follow("a", None)
    if left:
        for task in tasks:
            task.cancel()
    else:
        world.holds.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    samples = [sample for metric in world.registry.collect() for sample in metric.samples]
    assert [sample for sample in samples if "model" in sample.labels] == []


async def test_a_model_that_comes_back_while_a_request_is_held_keeps_its_series(world: World) -> None:
    world.model()
    (task,) = await begun(world.holds.decide(call()))
    world.holds.follow("a", None)
    world.model(POD)
    world.holds.release()
    await task
    assert world.value("shimmy_router_holds_total", outcome="admitted") == 1
