from shimmy_router.slot_choice import PATIENCE_SECONDS, SlotChoice

ONE, TWO = ("192.0.2.1", 8080), ("192.0.2.2", 8080)
BOTH = {ONE, TWO}


def test_a_choice_stays_while_its_pod_begins_to_load() -> None:
    choice = SlotChoice()
    assert choice.choose("t/m", ONE, BOTH, 0.0) == (ONE, 0.0)
    assert choice.choose("t/m", TWO, BOTH, 1.0) == (ONE, PATIENCE_SECONDS)
    assert choice.choose("t/m", TWO, BOTH, 1.0 + PATIENCE_SECONDS / 2) == (ONE, PATIENCE_SECONDS / 2)


def test_a_pod_that_goes_on_with_something_else_is_given_up() -> None:
    choice = SlotChoice()
    choice.choose("t/m", ONE, BOTH, 0.0)
    choice.choose("t/m", TWO, BOTH, 1.0)
    assert choice.choose("t/m", TWO, BOTH, 1.0 + PATIENCE_SECONDS) == (TWO, 0.0)


def test_a_doubt_that_passes_is_forgotten() -> None:
    choice = SlotChoice()
    choice.choose("t/m", ONE, BOTH, 0.0)
    choice.choose("t/m", TWO, BOTH, 1.0)
    choice.choose("t/m", ONE, BOTH, 1.1)
    assert choice.choose("t/m", TWO, BOTH, 9.0) == (ONE, PATIENCE_SECONDS)


def test_a_pod_without_requests_is_given_up_at_once() -> None:
    choice = SlotChoice()
    choice.choose("t/m", ONE, BOTH, 0.0)
    assert choice.choose("t/m", TWO, {TWO}, 0.1) == (TWO, 0.0)


def test_each_model_has_a_choice_of_its_own_which_ends_when_a_pod_has_it() -> None:
    choice = SlotChoice()
    choice.choose("t/m", ONE, BOTH, 0.0)
    assert choice.choose("t/n", TWO, BOTH, 0.0) == (TWO, 0.0)
    choice.settled("t/m")
    assert choice.choose("t/m", TWO, BOTH, 0.1) == (TWO, 0.0)
