import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_router.limits.ledger import Ask, Ledger, Limits, State
from shimmy_router.limits.members import home
from shimmy_router.limits.tokens import STEP_SECONDS, TokenUse, verdict
from shimmy_router.limits.window import SECONDS, Window, seconds_until

NOW = 1_800_000_000.0


def ask(per_minute: int | None = None, concurrent: int | None = None, *, key: Limits | None = None) -> Ask:
    return Ask("t", "k" if key else "", Limits(per_minute, concurrent), key or Limits())


@given(st.integers(1, 20), st.lists(st.floats(0, 8), min_size=1, max_size=200))
def test_no_sixty_seconds_hold_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    ledger, now, admitted = Ledger("r"), NOW, []
    for pause in pauses:
        now += pause
        if not ledger.decide(ask(limit), "r", now).reason:
            admitted.append(now)
    for start in admitted:
        assert sum(start <= at < start + SECONDS for at in admitted) <= limit


@given(st.integers(1, 5), st.lists(st.floats(0, 3), min_size=6, max_size=60))
def test_who_waits_as_long_as_told_gets_in_and_a_second_earlier_does_not(limit: int, pauses: list[float]) -> None:
    ledger, now = Ledger("r"), NOW
    for pause in pauses:
        now += pause
        answer = ledger.decide(ask(limit), "r", now)
        if answer.reason:
            assert 0 < answer.retry_after <= SECONDS + 1
            assert ledger.decide(ask(limit), "r", now + answer.retry_after - 1).reason == "requests"
            assert not ledger.decide(ask(limit), "r", now + answer.retry_after).reason
            return


def test_an_accepted_request_says_what_remains_of_the_nearest_bound() -> None:
    ledger = Ledger("r")
    first = ledger.decide(ask(10, key=Limits(3)), "r", NOW)
    assert (first.scope, first.limit, first.remaining, first.reset) == ("key", 3, 2, SECONDS + 1)
    for _ in range(2):
        ledger.decide(ask(10, key=Limits(3)), "r", NOW + 5)
    refused = ledger.decide(ask(10, key=Limits(3)), "r", NOW + 10)
    assert (refused.reason, refused.scope, refused.remaining) == ("requests", "key", 0)
    assert (refused.retry_after, refused.reset) == (SECONDS + 1 - 10, SECONDS + 1 - 5)


def test_what_one_bound_refuses_counts_for_no_other() -> None:
    ledger = Ledger("r")
    ledger.decide(ask(10, key=Limits(1)), "r", NOW)
    for _ in range(5):
        assert ledger.decide(ask(10, key=Limits(1)), "r", NOW).reason == "requests"
    assert ledger.decide(ask(10), "r", NOW).remaining == 8


def test_concurrency_is_what_has_not_ended() -> None:
    ledger = Ledger("r")
    for _ in range(2):
        assert not ledger.decide(ask(concurrent=2), "r", NOW).reason
    assert ledger.decide(ask(concurrent=2), "r", NOW).reason == "concurrent"
    ledger.ended(ask())
    assert not ledger.decide(ask(concurrent=2), "r", NOW).reason


def test_an_end_that_is_told_twice_frees_no_more_than_there_was() -> None:
    ledger = Ledger("r")
    ledger.decide(ask(concurrent=1), "r", NOW)
    for _ in range(3):
        ledger.ended(ask())
    assert not ledger.decide(ask(concurrent=1), "r", NOW).reason
    assert ledger.decide(ask(concurrent=1), "r", NOW).reason == "concurrent"


def test_a_home_counts_the_requests_of_all_routers() -> None:
    ledger = Ledger("home")
    admitted = [r for i in range(30) if not ledger.decide(ask(10, 10), r := f"r{i % 3}", NOW).reason]
    assert len(admitted) == 10
    ledger.learn(State("t", "", [], 2), "r1")
    assert ledger.decide(ask(None, 10), "r2", NOW).reason == ""


def test_a_router_that_is_gone_runs_nothing_any_more_but_what_it_asked_for_stays_used() -> None:
    ledger = Ledger("home")
    for _ in range(4):
        ledger.decide(ask(5, 4), "other", NOW)
    assert ledger.decide(ask(5, 4), "home", NOW).reason == "concurrent"
    ledger.gone("other")
    assert not ledger.decide(ask(5, 4), "home", NOW).reason
    assert ledger.decide(ask(5, 4), "home", NOW).reason == "requests"


@given(st.randoms(use_true_random=False))
def test_a_new_home_that_is_told_by_all_refuses_what_the_old_one_would_have(chance: random.Random) -> None:
    old, new = Ledger("old"), Ledger("new")
    others = {name: Ledger(name) for name in ("a", "b")}
    now = NOW
    for _ in range(40):
        now += chance.random()
        router = chance.choice(["a", "b"])
        if not old.decide(ask(25, 20), router, now).reason:
            others[router].began(ask())
            others[router].granted(ask(), now)
        elif chance.random() < 0.5:
            others[router].ended(ask())
            for state in others[router].own_running(ask()):
                old.learn(state, router)
    for name, ledger in others.items():
        for _ in range(2):  # a state that is told twice counts once
            for state in ledger.state(["t"], "new", now):
                new.learn(state, name)
    assert new.decide(ask(25, 20), "new", now) == old.decide(ask(25, 20), "new", now)


@pytest.mark.parametrize("routers", [1, 2, 3, 7])
def test_routers_that_cannot_ask_stay_within_the_limit_together(routers: int) -> None:
    admitted = 0
    for number in range(routers):
        ledger = Ledger(f"r{number}")
        admitted += sum(not ledger.decide_alone(ask(100, 100), routers, NOW).reason for _ in range(200))
    assert 90 <= admitted <= 100


def test_what_has_aged_out_is_forgotten() -> None:
    ledger, use = Ledger("r"), TokenUse()
    ledger.decide(ask(5), "r", NOW)
    ledger.ended(ask())
    use.add("t", "r", 5, NOW)
    ledger.prune(NOW + SECONDS)
    use.prune(NOW + SECONDS)
    assert ledger.tenants() == {"t"}
    assert list(use.tenants()) == ["t"]
    ledger.prune(NOW + SECONDS + 1)
    use.prune(NOW + SECONDS + 1)
    assert ledger.tenants() == set()
    assert list(use.tenants()) == []


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    window = Window()
    window.add(1, NOW)
    window.add(1, NOW - 30)
    assert window.total(NOW) == 2
    assert window.buckets(NOW) == [(int(NOW), 2)]


def test_a_router_that_leaves_moves_only_its_own_tenants() -> None:
    tenants = [f"t{number}" for number in range(300)]
    before = {tenant: home(tenant, ["a", "b", "c"]) for tenant in tenants}
    after = {tenant: home(tenant, ["b", "a"]) for tenant in tenants}
    assert all(after[tenant] == before[tenant] for tenant in tenants if before[tenant] != "c")
    assert min(list(before.values()).count(router) for router in "abc") > 60


def test_tokens_over_the_limit_refuse_until_enough_of_them_are_a_minute_old() -> None:
    use = TokenUse()
    use.add("t", "r", 60, NOW)
    assert verdict(use.windows("t"), 100, NOW) is None
    use.learn("t", "other", [(int(NOW) + 10, 40)])
    found = verdict(use.windows("t"), 100, NOW + 12)
    assert found
    assert (found.limit, found.retry_after) == (100, 50)  # 49 s, in steps
    assert found.retry_after % STEP_SECONDS == 0
    assert verdict(use.windows("t"), 100, NOW + 61) is None
    assert verdict(use.windows("t"), None, NOW + 12) is None


def test_nothing_to_wait_for_is_no_time() -> None:
    assert seconds_until([], 0, NOW) == 0
    assert seconds_until([Window()], 5, NOW) == 0
