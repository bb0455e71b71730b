"""How a bound is shared."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shimmy_operator.scaling.allotment import Claim, Limits, allot, attainable, giving_way, to_try


def claim(name: str, now: int = 1, wants: int = 0, **more: int) -> Claim:
    return Claim(name, "pool", least=more.pop("least", 0), now=now, wants=wants, **more)


def test_what_is_left_is_spread_so_that_a_burst_need_not_wait() -> None:
    assert allot([claim("a"), claim("b"), claim("c")], Limits({"pool": 9})) == {"a": 3, "b": 3, "c": 3}


def test_load_gets_what_it_asks_for_before_anything_is_left() -> None:
    assert allot([claim("a", wants=6), claim("b")], Limits({"pool": 9})) == {"a": 7, "b": 2}


def test_two_that_want_more_than_there_is_get_the_same_beyond_the_least() -> None:
    assert allot([claim("a", wants=9), claim("b", wants=9, least=2)], Limits({"pool": 8})) == {"a": 4, "b": 4}


def test_who_sleeps_takes_nothing_and_may_have_what_is_left_once_it_wakes() -> None:
    assert allot([claim("a", now=0), claim("b")], Limits({"pool": 4})) == {"a": 1, "b": 4}
    assert allot([claim("a", now=0), claim("b", now=0)], Limits({"pool": 4})) == {"a": 4, "b": 4}


def test_shares_that_do_for_everybody_stay() -> None:
    claims = [claim("a", wants=2, share=6), claim("b", wants=1, share=3)]
    assert allot(claims, Limits({"pool": 9})) == {"a": 6, "b": 3}
    assert sum(allot(claims, Limits({"pool": 12})).values()) == 12


def test_a_share_grows_only_as_others_have_given_back() -> None:
    claims = [claim("a", now=6, wants=1, share=6), claim("b", now=2, wants=6, share=2)]
    assert allot(claims, Limits({"pool": 8})) == {"a": 2, "b": 2}
    less = [replace(claims[0], now=3, share=2), replace(claims[1], share=2)]
    assert allot(less, Limits({"pool": 8})) == {"a": 2, "b": 5}


def test_gpus_go_by_priority_and_the_least_comes_first() -> None:
    high = Claim("high", "one", least=0, now=1, wants=4, priority=5, gpus=2)
    low = Claim("low", "two", least=1, now=1, wants=4, gpus=2)
    limits = Limits({"one": 10, "two": 10}, gpus=8)
    assert allot([low, high], limits) == {"high": 3, "low": 1}
    assert allot([low, replace(high, wants=2)], limits) == {"high": 2, "low": 2}


def test_the_last_pod_that_nobody_asks_for_gives_way_to_one_of_higher_priority_that_is_refused() -> None:
    high = Claim("high", "one", least=0, now=1, wants=1, priority=5, gpus=1, refused=1)
    low = Claim("low", "two", least=0, now=1, wants=0, gpus=1)

    def gives_way(*claims: Claim, gpus: int = 1) -> bool:
        limits = Limits({"one": 9, "two": 9}, gpus)
        return "low" in giving_way(claims, attainable(claims, limits, allot(claims, limits)))

    assert gives_way(high, low)
    assert not gives_way(high, replace(low, wants=1))
    assert not gives_way(high, replace(low, least=1))
    assert not gives_way(high, replace(low, priority=5))
    assert not gives_way(replace(high, wants=0), low)
    assert not gives_way(replace(high, refused=0), low)
    assert not gives_way(high, low, gpus=2)  # something else than GPUs is why


def test_refused_pods_are_tried_by_priority_as_far_as_there_are_gpus() -> None:
    high = Claim("high", "one", least=0, now=1, wants=1, priority=5, gpus=2, refused=1)
    low = Claim("low", "two", least=0, now=3, wants=3, gpus=1, refused=2)
    assert to_try([low, high], 1) == set()
    assert to_try([low, high], 2) == {"high"}
    assert to_try([low, high], 3) == {"high", "low"}
    assert to_try([low, replace(high, wants=0)], 1) == {"low"}


claims_of_two = st.lists(
    st.builds(
        Claim,
        name=st.uuids().map(str),
        instance=st.sampled_from(["one", "two"]),
        least=st.integers(0, 2),
        now=st.integers(0, 8),
        wants=st.integers(0, 12),
        share=st.none() | st.integers(1, 8),
        priority=st.integers(-1, 1),
        gpus=st.integers(0, 2),
    ),
    max_size=5,
)


@given(claims_of_two, st.integers(10, 20), st.none() | st.integers(0, 30))
def test_nobody_gets_less_than_the_least_nor_all_together_more_than_there_is(
    claims: list[Claim], most: int, gpus: int | None
) -> None:
    shares = allot(claims, Limits({"one": most, "two": most}, gpus))
    awake = [one for one in claims if one.counts]
    assert all(shares[one.name] >= one.floor for one in awake)
    pods, floors = Counter[str](), Counter[str]()
    for one in awake:
        pods[one.instance] += shares[one.name]
        floors[one.instance] += one.floor
    assert all(pods[instance] <= max(most, floors[instance]) for instance in pods)
    if gpus is not None:
        used = sum(shares[one.name] * one.gpus for one in awake)
        assert used <= max(gpus, sum(one.floor * one.gpus for one in awake))


@given(claims_of_two, st.integers(10, 20), st.none() | st.integers(0, 30))
def test_who_has_the_shares_keeps_them(claims: list[Claim], most: int, gpus: int | None) -> None:
    limits = Limits({"one": most, "two": most}, gpus)
    shares = allot(claims, limits)
    again = [replace(one, share=shares[one.name]) for one in claims]
    assert allot(again, limits) == shares
