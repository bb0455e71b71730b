"""Lines of Envoy's access log."""

import pytest

from shimmy_router.entries import LINE, entry_of

WHOLE = "r\ta\tsk-shimmy-aaaaaaaa\tm\tn\tno_pod\t200\t-\t1500000\t250000\t0.125\t3\t12\t-\t34\t-"
STREAM = WHOLE.replace("12\t-\t34\t-", "-\t12\t-\t34")
REFUSED = "r\t-\t-\t-\t-\t-\t401\tNR\t70\t60\t-\t0\t-\t-\t-\t-"


def test_an_answer_in_one_piece_and_a_stream_say_the_same() -> None:
    entry = entry_of(WHOLE)
    assert entry == entry_of(STREAM)
    assert entry == ("r", "a", "sk-shimmy-aaaaaaaa", "m", "n", "no_pod", 200, "completed", 1.5, 0.25, 0.125, 2, 12, 34)


def test_a_refusal_has_no_tenant_and_no_counts() -> None:
    assert entry_of(REFUSED) == ("r", "", "", "", "", "", 401, "refused", 7e-5, 6e-5, None, 0, None, None)


@pytest.mark.parametrize(
    ("code", "flags", "outcome"),
    [
        ("200", "DC", "cancelled"),
        ("0", "DC", "cancelled"),
        ("200", "UC", "failed"),
        ("200", "DPE,UR", "failed"),
        ("504", "UT", "failed"),
        ("0", "-", "failed"),
        ("429", "-", "refused"),
    ],
)
def test_the_outcome_is_told_from_status_and_flags(code: str, flags: str, outcome: str) -> None:
    entry = entry_of(WHOLE.replace("200\t-", f"{code}\t{flags}"))
    assert entry
    assert entry.outcome == outcome


@pytest.mark.parametrize(
    ("field", "value"),
    [(12, "-1"), (12, "1.5"), (12, "9" * 400), (12, "\u0661"), (10, "nan"), (10, "1e3"), (8, "x")],
)
def test_a_number_that_is_none_counts_as_absent(field: int, value: str) -> None:
    fields = WHOLE.split("\t")
    fields[field] = value
    entry = entry_of("\t".join(fields))
    assert entry
    assert {8: entry.seconds, 10: entry.queue_seconds, 12: entry.prompt_tokens}[field] is None


@pytest.mark.parametrize("line", ["", "-", WHOLE + "\t-", WHOLE.replace("200", "-"), LINE])
def test_what_is_no_line_of_envoys_is_no_entry(line: str) -> None:
    assert entry_of(line) is None
