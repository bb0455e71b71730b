import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_meter.selectors import SelectorError, parse

LABELS = {"instance": "pool", "model": "llama-3.2", "a.b/c": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("  ", True),
        ("instance=pool", True),
        ("instance==pool", True),
        ("instance = pool , model = llama-3.2", True),
        ("instance=pool,model=other", False),
        ("instance!=pool", False),
        ("instance!=other", True),
        ("absent!=other", True),
        ("absent=", False),
        ("a.b/c=", True),
        ("model in (llama-3.2, other)", True),
        ("model in (other)", False),
        ("model notin (other,third)", True),
        ("model notin (llama-3.2)", False),
        ("absent notin (x)", True),
        ("absent in (x)", False),
        ("instance", True),
        ("absent", False),
        ("!absent", True),
        ("!instance", False),
        ("in in (in),instance", False),
        ("notin", False),
        ("model in (llama-3.2),instance=pool,!absent", True),
    ],
)
def test_what_is_selected(text: str, *, selected: bool) -> None:
    assert parse(text)(LABELS) is selected


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "a=b,",
        ",a=b",
        "=b",
        "a b",
        "a in b",
        "a in (b",
        "a in (b))",
        "a=b=c",
        "a=-b",
        "a in (-b)",
        "-a=b",
        "!a=b",
        "a>1",
        "a=" + "b" * 64,
        "a/b/c=d",
        "model=a\x00",
    ],
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(SelectorError):
        parse(text)


@given(st.text(alphabet="ab=!,() int-", max_size=30))
def test_every_text_is_a_selector_or_refused(text: str) -> None:
    with contextlib.suppress(SelectorError):
        assert parse(text)(LABELS) in {True, False}
