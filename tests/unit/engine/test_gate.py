import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from shimmy_engine.fair_queue import Share
from shimmy_engine.gate import EvictedError, Gate, MovedError, Occupancy, QueueFullError


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_one_passes_at_a_time_in_order_of_arrival() -> None:
    gate, order = Gate(queue=8), list[int]()

    async def visit(number: int) -> None:
        await gate.enter()
        order.append(number)
        assert gate.in_flight == 1
        await asyncio.sleep(0)
        gate.leave()

    await asyncio.gather(*(visit(number) for number in range(8)))
    assert order == list(range(8))
    assert (gate.in_flight, gate.queued) == (0, 0)


async def test_past_the_bound_a_request_is_refused_at_once() -> None:
    gate = Gate(queue=1)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await turn()
    with pytest.raises(QueueFullError):
        await gate.enter()
    gate.leave()
    await waiting


async def test_without_a_queue_only_a_free_engine_is_entered() -> None:
    gate = Gate(queue=0)
    await gate.enter()
    with pytest.raises(QueueFullError):
        await gate.enter()
    gate.leave()
    await gate.enter()


async def test_who_leaves_gives_up_its_place() -> None:
    gate = Gate(queue=1)
    await gate.enter()
    leaving = asyncio.create_task(gate.enter())
    await turn()
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    assert gate.queued == 0
    waiting = asyncio.create_task(gate.enter())
    await turn()
    gate.leave()
    await waiting


async def test_a_turn_that_comes_in_the_moment_of_leaving_goes_to_the_next() -> None:
    gate = Gate(queue=2)
    await gate.enter()
    leaving, next_one = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await turn()
    gate.leave()
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    await next_one
    assert gate.in_flight == 1


async def test_what_the_runner_must_do_comes_first_whatever_the_bound() -> None:
    gate, order = Gate(queue=1), list[str]()
    await gate.enter()

    async def visit(name: str, enter: Callable[[], Awaitable[None]]) -> None:
        await enter()
        order.append(name)
        gate.leave()

    waiting = asyncio.create_task(visit("request", gate.enter))
    await turn()
    first = asyncio.create_task(visit("runner", gate.enter_first))
    await turn()
    gate.leave()
    await asyncio.gather(waiting, first)
    assert order == ["runner", "request"]


async def test_who_waits_for_something_else_is_sent_away() -> None:
    gate = Gate(queue=8)
    await gate.enter()
    old, new = asyncio.create_task(gate.enter("old")), asyncio.create_task(gate.enter("new"))
    await turn()
    gate.evict(but="new")
    with pytest.raises(EvictedError):
        await old
    assert gate.queued == 1
    gate.leave()
    await new


async def test_requests_for_what_is_loaded_pass_others_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("shimmy_engine.gate.time.monotonic", lambda: now)
    gate, order = Gate(queue=8), list[str]()
    gate.preferred = "loaded"
    await gate.enter("loaded")

    async def visit(tag: str) -> None:
        await gate.enter(tag)
        order.append(tag)

    visits = []
    for tag in ("other", "loaded", "loaded"):
        visits.append(asyncio.create_task(visit(tag)))
        await turn()
    gate.leave()
    await turn()
    assert order == ["loaded"]
    now += 11
    for _ in range(2):
        gate.leave()
        await turn()
    assert order == ["loaded", "other", "loaded"]
    await asyncio.gather(*visits)


async def test_the_advice_to_come_back_is_the_length_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("shimmy_engine.gate.time.monotonic", lambda: now)
    gate = Gate(queue=0)
    await gate.enter()
    now += 9.5
    gate.leave()
    await gate.enter()
    now += 2.0
    with pytest.raises(QueueFullError) as full:
        await gate.enter()
    assert full.value.retry_after == 8


async def test_idle_is_awaited() -> None:
    gate = Gate(queue=1)
    await gate.enter()
    idle = asyncio.create_task(gate.wait_idle())
    await turn()
    assert not idle.done()
    gate.leave()
    await idle


async def test_an_occupancy_is_empty_when_the_last_one_has_left() -> None:
    occupancy = Occupancy()
    await occupancy.wait_empty()
    with occupancy:
        with occupancy:
            pass
        empty = asyncio.create_task(occupancy.wait_empty())
        await turn()
        assert not empty.done()
    await empty


async def test_a_waiter_that_has_to_go_for_another_tenant_is_told_that_the_queue_is_full() -> None:
    gate = Gate(queue=2)
    await gate.enter()
    old, new = (asyncio.create_task(gate.enter("m", Share("a"))) for _ in range(2))
    await turn()
    other = asyncio.create_task(gate.enter("m", Share("b")))
    with pytest.raises(QueueFullError):
        await new
    assert gate.queued == 2
    for waiting in (old, other):
        gate.leave()
        await waiting


async def test_a_waiter_that_leaves_and_has_to_go_in_one_moment_takes_no_turn_with_it() -> None:
    gate = Gate(queue=2)
    await gate.enter()
    old, new = (asyncio.create_task(gate.enter("m", Share("a"))) for _ in range(2))
    await turn()
    new.cancel()
    other = asyncio.create_task(gate.enter("m", Share("b")))
    with pytest.raises(asyncio.CancelledError):
        await new
    for waiting in (old, other):
        gate.leave()
        await waiting
    assert (gate.in_flight, gate.queued) == (1, 0)


async def test_what_the_runner_must_do_is_not_sent_away_with_the_others() -> None:
    gate = Gate(queue=2)
    await gate.enter("old")
    own = asyncio.create_task(gate.enter_first())
    await turn()
    gate.evict(but="new")
    gate.leave()
    await own


async def test_a_watcher_hears_of_each_coming_and_going() -> None:
    gate = Gate(queue=2)
    with gate.watch() as changed:

        def heard() -> bool:
            was = changed.is_set()
            changed.clear()
            return was

        assert not heard()
        await gate.enter()
        assert heard()
        waiting = asyncio.create_task(gate.enter())
        await turn()
        assert heard()
        waiting.cancel()
        await turn()
        assert heard()
        gate.leave()
        assert heard()


async def test_only_what_waits_for_that_and_may_go_is_sent_to_another_pod() -> None:
    gate = Gate(queue=9)
    await gate.enter()
    fixed, other = asyncio.create_task(gate.enter("m")), asyncio.create_task(gate.enter("other", movable=True))
    low = asyncio.create_task(gate.enter("m", Share("a", -1), movable=True))
    high = asyncio.create_task(gate.enter("m", Share("b"), movable=True))
    await turn()
    assert [gate.release("m") for _ in range(3)] == [True, True, False]
    assert not gate.release("unknown")
    for moved in (high, low):
        with pytest.raises(MovedError):
            await moved
    assert gate.queued == 2
    for waiting in (fixed, other):
        gate.leave()
        await waiting
