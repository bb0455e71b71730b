"""A model without a pod is woken once for all its requests, and again while that has not helped."""

import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from shimmy_router.fleet import Hold, Model, Pool
from shimmy_router.wake.metrics import WakeMetrics
from shimmy_router.wake.waker import StartError, Waker

MODEL = Model("m", "a", hold=Hold(60, 10), pools=(Pool("i", "i-m"), Pool("j", "j-m")), asleep=True)


@dataclass
class Scales:
    """Deployments, and what becomes of the wish to start one."""

    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.waker = Waker(self.start, WakeMetrics(self.registry), lambda: self.now)

    async def start(self, namespace: str, deployment: str) -> bool:
        self.asked.append(f"{namespace}/{deployment}")
        await asyncio.sleep(0)
        if deployment in self.failing:
            raise StartError("no right")
        return self.asked.count(self.asked[-1]) == 1

    async def wake(self) -> None:
        self.waker.wake("ns", MODEL)
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    def count(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("shimmy_router_wakes_total", {"outcome": outcome})


@pytest.fixture
def scales() -> Scales:
    return Scales()


async def test_many_requests_ask_once(scales: Scales) -> None:
    for _ in range(3):
        scales.waker.wake("ns", MODEL)
    await scales.wake()
    assert scales.asked == ["ns/i-m"]
    assert scales.count("woken") == 1


async def test_while_there_is_still_no_pod_it_is_asked_again_after_some_time(scales: Scales) -> None:
    await scales.wake()
    scales.now = 4.9
    await scales.wake()
    assert len(scales.asked) == 1
    scales.now = 5.1
    await scales.wake()
    assert len(scales.asked) == 2
    assert scales.count("awake") == 1


async def test_where_the_first_instance_cannot_be_woken_the_next_one_is(
    scales: Scales, caplog: pytest.LogCaptureFixture
) -> None:
    scales.failing = {"i-m"}
    await scales.wake()
    assert scales.asked == ["ns/i-m", "ns/j-m"]
    assert "no pod of a/m can be started: no right" in caplog.text


async def test_after_a_failure_it_is_tried_again_soon_and_then_less_often(scales: Scales) -> None:
    scales.failing = {"i-m", "j-m"}
    tries = []
    for step in range(1000):
        scales.now = step / 50
        before = len(scales.asked)
        await scales.wake()
        if len(scales.asked) > before:
            tries.append(scales.now)
    assert tries == pytest.approx([0.0, 0.2, 0.6, 1.4, 3.0, 6.2, 11.2, 16.2], abs=0.1)
    assert scales.count("failed") == len(tries)
