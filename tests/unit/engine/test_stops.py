from hypothesis import given
from hypothesis import strategies as st

from shimmy_engine.stops import StopFilter

STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=4).map(tuple)


@given(STOPS, st.lists(st.text("abc", max_size=5)))
def test_what_is_shown_is_the_text_before_the_first_stop_string(stops: tuple[str, ...], pieces: list[str]) -> None:
    filtered = StopFilter(stops)
    shown = ""
    for piece in pieces:
        shown += filtered.feed(piece)
        assert not any(stop in shown for stop in stops)
    text = "".join(pieces)
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    assert (filtered.matched is not None) == bool(ends)
    shown += filtered.flush()
    assert text.startswith(shown)
    assert shown == text if not ends else text[len(shown) :].startswith(filtered.matched or "?")


def test_only_what_may_become_a_stop_string_is_held_back() -> None:
    filtered = StopFilter(("END",))
    assert [filtered.feed(piece) for piece in ("one", " E", "N", "x", "EN", "D two")] == ["one", " ", "", "ENx", "", ""]
    assert filtered.matched == "END"
