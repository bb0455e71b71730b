from shimmy_engine.abandonment import end_early


def test_a_short_rest_is_waited_out_and_a_long_one_is_cut_by_a_restart() -> None:
    assert end_early(remaining=50, pace=0.01, restart=2.0, patience=30.0) == ("waited", 30.0)
    assert end_early(remaining=900, pace=0.01, restart=2.0, patience=30.0) == ("restarted", 0.0)


def test_before_the_pace_is_known_the_bound_decides() -> None:
    assert end_early(remaining=900, pace=None, restart=2.0, patience=30.0) == ("waited", 30.0)
