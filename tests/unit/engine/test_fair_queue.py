"""The order of service on a clock of the test's own."""

import heapq
import itertools
import statistics
from collections.abc import Iterable

import pytest

from shimmy_engine.fair_queue import FairQueue, Share, Ticket


def ticket(tenant: str, *, priority: int = 0, weight: int = 1, tag: str = "m", since: float = 0.0) -> Ticket:
    return Ticket(Share(tenant, priority, weight), tag, since)


def filled(bound: int, *tickets: Ticket) -> FairQueue:
    queue = FairQueue(bound)
    for one in tickets:
        assert queue.add(one) is None
    return queue


def served(queue: FairQueue, turns: int, seconds: float = 1.0, now: float = 0.0) -> list[Ticket]:
    found = []
    for _ in range(turns):
        one = queue.next(now)
        assert one
        queue.end(seconds)
        found.append(one)
    return found


def tenants(tickets: Iterable[Ticket]) -> str:
    return "".join(one.share.tenant for one in tickets)


class Engine:
    """One engine and its queue; arrivals are (time, tenant, seconds of service). Notes how long each one waited."""

    def __init__(self, bound: int, arrivals: Iterable[tuple[float, str, float]]) -> None:
        self.waits: dict[str, list[float]] = {}
        self.refused: dict[str, int] = {}
        order = itertools.count()
        events: list[tuple[float, int, Ticket | None]] = []
        lengths: dict[Ticket, float] = {}
        for time, tenant, seconds in arrivals:
            arriving = ticket(tenant, since=time)
            lengths[arriving] = seconds
            events.append((time, next(order), arriving))
        heapq.heapify(events)
        queue, begin = FairQueue(bound), 0.0
        while events:
            now, _, one = heapq.heappop(events)
            started: Ticket | None = None
            if one is None:
                queue.end(now - begin)
                started = queue.next(now)
            elif queue.served:
                if gone := queue.add(one):
                    self.refused[gone.share.tenant] = self.refused.get(gone.share.tenant, 0) + 1
                continue
            else:
                queue.serve(one)
                started = one
            if started:
                begin = now
                self.waits.setdefault(started.share.tenant, []).append(now - started.since)
                heapq.heappush(events, (now + lengths[started], next(order), None))


@pytest.mark.parametrize("seconds", [1.0, 10.0], ids=["equal requests", "the other tenant's are ten times as long"])
def test_a_tenant_at_100_times_the_load_adds_at_most_one_service_time_to_the_median_of_another(seconds: float) -> None:
    calm = [(7.3 * number, "b", 1.0) for number in range(200)]
    flood = [(0.073 * number, "a", seconds) for number in range(200 * 100)]
    alone, beside = Engine(16, calm), Engine(16, [*calm, *flood])
    assert beside.refused.get("b", 0) == 0
    added = statistics.median(beside.waits["b"]) - statistics.median(alone.waits["b"])
    assert added <= seconds
    assert len(beside.waits["a"]) * seconds > 0.8 * (7.3 - 1.0) * len(calm), "the rest is not wasted"


def test_a_flood_takes_no_seconds_from_a_tenant_that_needs_less_than_its_half() -> None:
    calm = [(2.5 * number, "b", 1.0) for number in range(400)]
    flood = [(0.1 * number, "a", 0.25) for number in range(10_000)]
    assert len(Engine(8, [*calm, *flood]).waits["b"]) == len(calm)


def test_within_a_tenant_the_order_is_that_of_arrival() -> None:
    tickets = [ticket("a", since=number) for number in range(5)]
    assert served(filled(8, *tickets), 5) == tickets


def test_tenants_share_the_seconds_not_the_requests() -> None:
    queue = filled(64, *(ticket(tenant) for tenant in "ab" for _ in range(20)))
    seconds = {"a": 3.0, "b": 1.0}
    turns = []
    for _ in range(16):
        one = queue.next(0.0)
        assert one
        turns.append(one.share.tenant)
        queue.end(seconds[one.share.tenant])
    assert (turns.count("a"), turns.count("b")) == (4, 12)


def test_a_weight_is_a_share_of_the_seconds() -> None:
    queue = filled(64, *(ticket("a", weight=3) for _ in range(20)), *(ticket("b") for _ in range(20)))
    turns = tenants(served(queue, 16))
    assert (turns.count("a"), turns.count("b")) == (12, 4)


def test_who_was_idle_has_saved_nothing() -> None:
    queue = filled(64, *(ticket("a") for _ in range(20)))
    served(queue, 10)
    for _ in range(5):
        queue.add(ticket("b"))
    assert sorted(tenants(served(queue, 6))) == list("aaabbb")


def test_a_higher_priority_goes_first_but_not_for_ever() -> None:
    queue = filled(99, *(ticket("h", priority=5) for _ in range(40)), *(ticket("l", priority=-5) for _ in range(4)))
    assert tenants(served(queue, 24)) == "hhhhhhhl" * 3


def test_each_lower_priority_gets_its_turn() -> None:
    queue = filled(999, *(ticket(name, priority=p) for p, name in enumerate("abc") for _ in range(40)))
    turns = tenants(served(queue, 36))
    assert set(turns[:7]) == {"c"}
    assert (turns.count("a"), turns.count("b")) == (4, 4)


def test_past_the_bound_the_newest_of_who_holds_most_has_to_go() -> None:
    old, new = ticket("a", since=1), ticket("a", since=2)
    queue = filled(2, old, new)
    assert queue.add(ticket("b")) is new
    later = ticket("a", since=3)
    assert queue.add(later) is later
    other = ticket("b")
    assert queue.add(other) is other
    assert tenants(queue) == "ab"


def test_places_are_shared_by_weight() -> None:
    queue = filled(8, *(ticket("a") for _ in range(8)))
    for _ in range(12):
        queue.add(ticket("b", weight=3))
    assert (tenants(queue).count("a"), tenants(queue).count("b")) == (2, 6)


def test_of_its_own_requests_a_tenant_loses_the_least_important_first() -> None:
    low, high = ticket("a", priority=0, since=1), ticket("a", priority=9, since=2)
    assert filled(2, low, high).add(ticket("b")) is low


def test_more_tenants_than_places_take_none_from_each_other() -> None:
    queue = filled(2, ticket("a"), ticket("b"))
    third = ticket("c")
    assert queue.add(third) is third


def test_what_is_loaded_passes_within_its_priority_only() -> None:
    queue = filled(8, ticket("a", priority=1, tag="other"), ticket("b", tag="loaded"), ticket("c", tag="other"))
    queue.preferred = "loaded"
    assert tenants(served(queue, 3)) == "abc"
    queue = filled(8, ticket("a", tag="other"), ticket("b", tag="loaded"))
    queue.preferred = "loaded"
    assert tenants(served(queue, 2)) == "ba"


def test_nothing_is_kept_of_tenants_that_have_nothing_here() -> None:
    queue = FairQueue(4)
    queue.serve(ticket("a"))
    for number in range(1000):
        queue.add(ticket(f"t{number}", priority=number % 7))
        queue.end(1.0)
        queue.next(0.0)
    assert sum(len(group.tenants) for group in queue._classes.values()) <= 4
    queue.end(1.0)
    assert not queue._classes
