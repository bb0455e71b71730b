import logging
import random
import time

import httpx
import pytest

from shimmy_engine.fetch.retries import PassingError, Retries, check_status
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.progress import Progress


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited; chance always takes the longest wait."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    return found


def test_each_wait_is_twice_as_long_until_the_source_is_given_up(waits: list[float]) -> None:
    retries = Retries()
    for _ in range(4):
        retries.failed(PassingError("busy"), advanced=False)
    with pytest.raises(GgufError, match="busy \\(after 5 tries\\)") as caught:
        retries.failed(PassingError("busy"), advanced=False)
    assert caught.value.reason == "SourceUnreachable"
    assert waits == [0.5, 1, 2, 4]


def test_a_try_that_brought_something_makes_the_next_wait_short_again(waits: list[float]) -> None:
    retries = Retries()
    for advanced in (False, False, True, False):
        retries.failed(PassingError("cut"), advanced=advanced)
    assert waits == [0.5, 1, 0.5, 1]


def test_a_source_that_always_brings_a_little_is_given_up_too(waits: list[float]) -> None:
    retries = Retries()
    for _ in range(49):
        retries.failed(PassingError("cut"), advanced=True)
    with pytest.raises(GgufError, match="after 50 tries"):
        retries.failed(PassingError("cut"), advanced=True)
    assert len(waits) == 49


@pytest.mark.parametrize(("header", "expected"), [("3", 3), ("100000", 30), ("tomorrow", 0.5), ("-1", 0.5)])
def test_the_servers_wish_is_heeded_within_bounds(waits: list[float], header: str, expected: float) -> None:
    response = httpx.Response(503, headers={"retry-after": header})
    with pytest.raises(PassingError) as caught:
        check_status(response, "the source", 200)
    Retries().failed(caught.value, advanced=False)
    assert waits == [expected]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"x-error-message": "Access to model is restricted"}, "status 403: Access to model is restricted"),
        ({"x-amz-bucket-region": "eu-west-7"}, "status 403: the bucket is in region eu-west-7"),
        ({"x-error-message": "x" * 5000}, f"status 403: {'x' * 300}"),
    ],
)
def test_what_the_source_says_of_its_refusal_is_told(headers: dict[str, str], told: str) -> None:
    with pytest.raises(GgufError) as caught:
        check_status(httpx.Response(403, headers=headers), "the source", 200)
    assert caught.value.message.endswith(told)


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (100_000_000, ["fetched 30 of 100 MB (30%), 10.0 MB/s, about 7 s left"]),
        (None, ["fetched 30 MB, 10.0 MB/s"]),
    ],
)
def test_progress_is_told_from_two_seconds_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, total: int | None, lines: list[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    progress = Progress("fetched", total, 10_000_000)
    for seconds, done in ((1.0, 20_000_000), (2.0, 30_000_000), (6.0, 40_000_000)):
        now[0] = seconds
        progress.reach(done)
    assert [record.getMessage() for record in caplog.records] == lines
