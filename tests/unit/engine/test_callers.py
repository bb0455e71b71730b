import pytest

from shimmy_engine.callers import caller_of
from shimmy_engine.fair_queue import Share


def test_the_share_is_the_tenants_with_its_priority_and_weight() -> None:
    given = {"x-shimmy-tenant": "a", "x-shimmy-priority": "-3", "x-shimmy-weight": "20"}
    assert caller_of(given, "id", "m").share == Share("a", -3, 20)


@pytest.mark.parametrize(
    ("priority", "weight", "share"),
    [
        ("", "", Share("a", 0, 1)),
        ("high", "1.5", Share("a", 0, 1)),
        ("99999", "0", Share("a", 100, 1)),
        ("-99999", "99999", Share("a", -100, 100)),
        ("9" * 400, "\u0663", Share("a", 0, 1)),
    ],
)
def test_what_is_out_of_bounds_is_bounded_and_nonsense_is_the_default(priority: str, weight: str, share: Share) -> None:
    given = {"x-shimmy-tenant": "a", "x-shimmy-priority": priority, "x-shimmy-weight": weight}
    assert caller_of(given, "id", "m").share == share


@pytest.mark.parametrize(("attempt", "movable"), [("1", True), ("3", True), ("4", False), ("", False)])
def test_a_request_is_moved_only_where_a_router_tries_again(attempt: str, movable: bool) -> None:
    assert caller_of({"x-envoy-attempt-count": attempt}, "id", "m").movable is movable


def test_a_request_for_which_other_models_may_stand_in_is_not_moved() -> None:
    assert not caller_of({"x-envoy-attempt-count": "1", "x-shimmy-asked": "m"}, "id", "m").movable
