import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_engine.escapes import ByteUnescaper

PLAIN = st.text(st.characters(max_codepoint=0x10FEFF, exclude_categories=["Cs"]))


def escaped(content: bytes) -> str:
    return "".join(chr(0x10FF00 + byte) for byte in content)


@given(st.lists(st.tuples(PLAIN, PLAIN)), st.integers(1, 3))
def test_characters_come_together_again_however_their_bytes_are_cut(parts: list[tuple[str, str]], size: int) -> None:
    unescaper, shown = ByteUnescaper(), ""
    for plain, split in parts:
        shown += unescaper.feed(plain)
        content = split.encode()
        for at in range(0, len(content), size):
            shown += unescaper.feed(escaped(content[at : at + size]))
    assert shown + unescaper.flush() == "".join(plain + split for plain, split in parts)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([escaped("é".encode()[:1])], "�"),
        ([escaped("🎉".encode()[:2]), "x"], "�x"),
        (["a", escaped(b"\r"), "\n"], "a\r\n"),
        (["a" + escaped("é".encode()) + "b"], "aéb"),
    ],
)
def test_what_never_becomes_a_character_is_shown_as_damage(pieces: list[str], text: str) -> None:
    unescaper = ByteUnescaper()
    assert "".join(unescaper.feed(piece) for piece in pieces) + unescaper.flush() == text
