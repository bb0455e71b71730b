from hypothesis import given
from hypothesis import strategies as st

from shimmy_engine.sse import SseDecoder, encode_event

LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


@given(st.lists(LINES), st.integers(1, 40))
def test_events_are_the_same_however_the_bytes_are_cut(texts: list[str], size: int) -> None:
    wire = b"".join(encode_event(text) for text in texts)
    decoder = SseDecoder()
    chunks = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == texts


@given(st.lists(LINES, min_size=1))
def test_data_lines_of_one_event_are_joined(lines: list[str]) -> None:
    wire = "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
    assert list(SseDecoder().feed(wire)) == ["\n".join(lines)]


def test_comments_other_fields_and_unfinished_events_are_no_events() -> None:
    assert list(SseDecoder().feed(b": keep-alive\n\nevent: x\nid: 1\n\ndata: unfinished\n")) == []


def test_line_separators_of_unicode_do_not_end_a_line() -> None:
    assert list(SseDecoder().feed("data: a\u2028b\u0085c\n\n".encode())) == ["a\u2028b\u0085c"]
