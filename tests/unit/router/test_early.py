"""Pods that say themselves that they are ready, while their EndpointSlices do not yet."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shimmy_router.records import Endpoint, ObjectKey, Record, SliceRecord, TenantRecord
from shimmy_router.wake import early
from shimmy_router.wake.early import EarlyPods
from shimmy_router.xds.endpoints import Address, address

KEY = ("ns", "i-m-x1")
EARLY = ("ns", "early/i-m-x1/192.0.2.1")
POD, OTHER = (Endpoint(f"192.0.2.{number}", 8080, pod=f"p{number}", zone="z") for number in (1, 2))


class World:
    """Pods that are ready when the test says so."""

    def __init__(self) -> None:
        self.ready: set[Address] = set()
        self.asked: list[Address] = []
        self.placed: dict[ObjectKey, SliceRecord] = {}
        self.pods = EarlyPods(self.place, self.ask)

    def place(self, key: ObjectKey, record: SliceRecord | None) -> None:
        before = self.placed.pop(key, None)
        if record:
            self.placed[key] = record
        self.pods.take(key, before, record)  # as the store tells it everybody

    async def ask(self, pod: Address) -> bool:
        self.asked.append(pod)
        return pod in self.ready

    def slice(self, *starting: Endpoint, ready: tuple[Endpoint, ...] = ()) -> None:
        self.pods.take(KEY, None, SliceRecord("ns", "m", "i", ready, starting))

    async def turns(self, count: int = 20) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(early, "_STEP_SECONDS", 0)
    monkeypatch.setattr(early, "_MOST_PER_SECOND", 1e9)
    made = World()
    yield made
    await made.pods.aclose()


async def test_a_pod_is_there_as_soon_as_it_says_that_it_is_ready(world: World) -> None:
    world.slice(POD)
    await world.turns()
    assert world.placed == {}
    world.ready.add(address(POD))
    await world.turns()
    assert world.placed == {EARLY: SliceRecord("ns", "m", "i", (POD,))}
    asked = len(world.asked)
    await world.turns()
    assert len(world.asked) == asked


async def test_when_its_slice_says_the_same_that_one_counts(world: World) -> None:
    world.ready.add(address(POD))
    world.slice(POD)
    await world.turns()
    world.slice(ready=(POD,))
    assert world.placed == {}


@pytest.mark.parametrize("gone", [True, False], ids=["the pod", "the slice"])
async def test_what_is_gone_is_not_asked_any_more(world: World, *, gone: bool) -> None:
    world.slice(POD)
    await world.turns()
    if gone:
        world.slice()
    else:
        world.pods.take(KEY, SliceRecord("ns", "m", "i", (), (POD,)), None)
    world.asked.clear()
    world.ready.add(address(POD))
    await world.turns()
    assert (world.asked, world.placed) == ([], {})


async def test_it_is_believed_for_a_while_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "_BELIEVED_SECONDS", 0)
    world.ready.add(address(POD))
    world.slice(POD)
    await world.turns()
    assert world.placed == {}
    world.asked.clear()
    world.slice(POD, OTHER)
    await world.turns()
    assert set(world.asked) == {address(OTHER)}


async def test_beside_a_pod_that_takes_requests_nobody_is_asked(world: World) -> None:
    world.slice(POD, ready=(OTHER,))
    await world.turns()
    assert world.asked == []
    world.slice(POD, ready=(Endpoint("192.0.2.2", 8080, draining=True),))
    await world.turns()
    assert set(world.asked) == {address(POD)}


async def test_of_very_many_only_some_are_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "_MOST_PODS", 1)
    world.slice(POD, OTHER)
    await world.turns()
    assert len(set(world.asked)) == 1


@pytest.mark.parametrize("record", [None, TenantRecord("a", "", "ns")])
async def test_other_records_are_nothing_to_it(world: World, record: Record | None) -> None:
    world.pods.take(KEY, TenantRecord("a", "", "ns"), record)
    await world.turns()
    assert world.asked == []
