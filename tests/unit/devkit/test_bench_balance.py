import random

import pytest

from devkit.bench.balance_queue import SPREAD, Arrival, Policy, ideal, poisson, simulate


def arrivals(count: int = 4000) -> list[Arrival]:
    return poisson(count, 8, 0.9, random.Random(3))


def ratio(policy: Policy, routers: int) -> float:
    found = arrivals()
    return simulate(found, 8, routers, policy, random.Random(3)) / ideal(found, 8)


def test_arrivals_keep_the_pods_as_busy_as_is_asked() -> None:
    found = arrivals(20_000)
    assert sum(one.seconds for one in found) / (found[-1].at * 8) == pytest.approx(0.9, abs=0.02)
    lengths = sorted(one.seconds for one in found)
    assert lengths[-1] / lengths[0] == pytest.approx(SPREAD, rel=0.01)


def test_the_ideal_queue_gives_the_first_request_to_the_first_free_pod() -> None:
    assert ideal([Arrival(0, 4), Arrival(0, 1), Arrival(0, 1), Arrival(1.5, 1)], 2) == pytest.approx((1 + 0.5) / 4)


def test_without_a_choice_every_policy_is_the_ideal_queue() -> None:
    found = poisson(500, 1, 0.8, random.Random(1))
    for policy in (Policy("own"), Policy("shared", shared=True, delay=0.5), Policy("moved", moved=0.1)):
        assert simulate(found, 1, 3, policy, random.Random(1)) == pytest.approx(ideal(found, 1))


def test_what_each_part_of_our_policy_is_for() -> None:
    own, shared = Policy("own"), Policy("shared", shared=True, delay=0.02)
    ours = Policy("ours", shared=True, delay=0.02, moved=0.02)
    assert ratio(own, 3) > 1.3 * ratio(shared, 3)
    assert ratio(ours, 3) < 1.25 < ratio(shared, 3)
    assert ratio(ours, 1) < 1.2 < ratio(own, 1)
