"""Pods that say themselves that they are ready, while their EndpointSlices do not yet."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shimmy_router.fleet import Hold, Model, Tenant
from shimmy_router.records import Endpoint, ObjectKey, Record, SliceRecord, TenantRecord
from shimmy_router.wake import early
from shimmy_router.wake.early import EarlyPods
from shimmy_router.xds.endpoints import Address, address

KEY = ("ns", "i-m-x1")
EARLY = ("ns", "early/i-m-x1/192.0.2.1")
POD, OTHER = (Endpoint(f"192.0.2.{number}", 8080, pod=f"p{number}", zone="z") for number in (1, 2))
SCALED = Model("m", "a", hold=Hold(60, 10))


class World:
    """Pods that are ready when the test says so, and a tenant whose model's pods load decides on."""

    def __init__(self) -> None:
        self.ready: set[Address] = set()
        self.asked: list[Address] = []
        self.placed: dict[ObjectKey, SliceRecord] = {}
        self.pods = EarlyPods(self.place, self.ask)
        self.models(SCALED)

    def models(self, *models: Model) -> None:
        self.pods.follow("a", Tenant("a", "ns", models=models))

    def place(self, key: ObjectKey, record: SliceRecord | None) -> None:
        before = self.placed.pop(key, None)
        if record:
            self.placed[key] = record
        self.pods.take(key, before, record)  # as the store tells it everybody

    async def ask(self, pod: Address) -> bool:
        self.asked.append(pod)
        return pod in self.ready

    def slice(self, *starting: Endpoint, ready: tuple[Endpoint, ...] = (), key: ObjectKey = KEY, of: str = "m") -> None:
        self.pods.take(key, None, SliceRecord(key[0], of, "i", ready, starting))

    async def turns(self, count: int = 20) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def asks(self) -> set[Address]:
        """Whom it asks from now on."""
        self.asked.clear()
        await self.turns()
        return set(self.asked)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(early, "_STEP_SECONDS", 0)
    monkeypatch.setattr(early, "_MOST_PER_SECOND", 1e9)
    made = World()
    yield made
    await made.pods.aclose()


async def test_a_pod_is_there_as_soon_as_it_says_that_it_is_ready(world: World) -> None:
    world.slice(POD)
    assert await world.asks() == {address(POD)}
    assert world.placed == {}
    world.ready.add(address(POD))
    await world.turns()
    assert world.placed == {EARLY: SliceRecord("ns", "m", "i", (POD,))}
    assert await world.asks() == set()


async def test_what_it_changes_of_the_tenant_does_not_change_it(world: World) -> None:
    world.slice(POD)
    await world.turns()
    world.ready.add(address(POD))
    await world.turns()
    (task,) = world.pods._asking["ns"].values()
    world.models(replace(SCALED, endpoints=(POD,), ready=True))
    await world.turns()
    assert list(world.placed) == [EARLY]
    assert list(world.pods._asking["ns"].values()) == [task]


async def test_when_its_slice_says_the_same_that_one_counts(world: World) -> None:
    world.ready.add(address(POD))
    world.slice(POD)
    await world.turns()
    world.slice(ready=(POD,))
    await world.turns()
    assert world.placed == {}


@pytest.mark.parametrize("gone", ["pod", "slice", "tenant", "scaling"])
async def test_what_is_gone_is_not_asked_any_more_nor_believed(world: World, gone: str) -> None:
    for ready in (False, True):
        world.models(SCALED)
        world.slice(POD)
        world.ready = {address(POD)} if ready else set()
        await world.turns()
        assert bool(world.placed) == ready
        if gone == "pod":
            world.slice()
        elif gone == "slice":
            world.pods.take(KEY, SliceRecord("ns", "m", "i", (), (POD,)), None)
        elif gone == "tenant":
            world.pods.follow("a", None)
        else:
            world.models(Model("m", "a"))
        await world.turns()
        assert (await world.asks(), world.placed) == (set(), {})


async def test_it_is_believed_for_a_while_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "_BELIEVED_SECONDS", 0)
    world.ready.add(address(POD))
    world.slice(POD)
    await world.turns()
    assert world.placed == {}
    world.slice(POD, OTHER)
    assert await world.asks() == {address(OTHER)}


async def test_beside_a_pod_that_takes_requests_nobody_is_asked(world: World) -> None:
    world.slice(POD, ready=(OTHER,))
    assert await world.asks() == set()
    world.slice(POD, ready=(Endpoint("192.0.2.2", 8080, draining=True),))
    assert await world.asks() == {address(POD)}


async def test_pods_of_others_and_of_models_that_load_does_not_decide_on_are_not_asked(world: World) -> None:
    world.slice(POD, key=("elsewhere", "i-m-x1"))
    world.slice(OTHER, key=("ns", "i-n-x1"), of="n")
    assert await world.asks() == set()


async def test_a_pod_that_models_share_is_asked_once_and_then_there_for_each(world: World) -> None:
    world.models(SCALED, Model("n", "a", hold=Hold(60, 10)))
    world.slice(POD)
    world.slice(POD, key=("ns", "i-n-x1"), of="n")
    await world.turns(3)
    assert world.asked == [address(POD)] * len(world.asked)
    assert len(world.pods._asking["ns"]) == 1
    world.ready.add(address(POD))
    await world.turns()
    assert sorted(found.model for found in world.placed.values()) == ["m", "n"]


async def test_who_is_never_ready_is_left_to_the_kubelet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "_ASKED_SECONDS", 0)
    world.slice(POD)
    await world.turns()
    assert await world.asks() == set()


async def test_where_many_start_each_is_asked_less_often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr(early, "_STEP_SECONDS", 0.025)
    monkeypatch.setattr(early, "_MOST_PER_SECOND", 200)
    monkeypatch.setattr("shimmy_router.wake.early.asyncio.sleep", sleep)
    world.slice(*(Endpoint(f"192.0.2.{number}", 8080) for number in range(100)))
    for _ in range(5):
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn
    assert max(pauses) == 100 / 200


@pytest.mark.parametrize("record", [None, TenantRecord("a", "", "ns")])
async def test_other_records_are_nothing_to_it(world: World, record: Record | None) -> None:
    world.pods.take(KEY, TenantRecord("a", "", "ns"), record)
    assert await world.asks() == set()
