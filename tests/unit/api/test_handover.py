import gzip
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_api.discovery import Discovered, DiscoveryReport, skipped
from shimmy_api.handover import pack, unpack

NOW = "2026-01-01T00:00:00Z"


def model(number: int) -> Discovered:
    path = f"/models/{hashlib.sha256(str(number).encode()).hexdigest()}"
    return Discovered(name=f"m-{number}", kind="gguf", path=path, source=f"pvc://models/{number}", architecture="llama")


def test_a_report_arrives_as_it_was_sent() -> None:
    report = DiscoveryReport(
        revision="r", finished_at=NOW, models=(model(1), model(2)), skipped=(skipped("/a", "Damaged", "b" * 900),)
    )
    assert unpack(pack(report)) == report


def test_of_a_report_that_is_too_long_the_end_is_left_out_and_it_says_so() -> None:
    models, reasons = tuple(map(model, range(500))), tuple(skipped(f"/{n}", "Damaged", "x") for n in range(500))
    report = DiscoveryReport(finished_at=NOW, models=models, skipped=reasons)
    whole, bare = len(pack(report)), len(pack(report.model_copy(update={"skipped": ()})))
    fewer_reasons = unpack(pack(report, (whole + bare) // 2))
    assert (len(fewer_reasons.models), fewer_reasons.complete) == (500, True)
    assert fewer_reasons.omitted == 500 - len(fewer_reasons.skipped) > 0
    packed = pack(report, 4000)
    cut = unpack(packed)
    assert len(packed) <= 4000
    assert cut.models == models[: len(cut.models)]
    assert 0 < len(cut.models) < 500
    assert not cut.complete
    assert cut.omitted == 1000 - len(cut.models) - len(cut.skipped)


def test_more_models_than_a_report_takes_are_left_out() -> None:
    report = DiscoveryReport.model_construct(finished_at=NOW, models=tuple(map(model, range(2100))))
    cut = unpack(pack(report, 1 << 20))
    assert (len(cut.models), cut.omitted, cut.complete) == (2000, 100, False)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_report_or_an_error(content: bytes) -> None:
    for packed in (content, gzip.compress(content)):
        with pytest.raises(ValueError, match=r".+"):
            unpack(packed)


def test_a_report_that_unpacks_to_gigabytes_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        unpack(gzip.compress(b" " * (64 << 20)))
