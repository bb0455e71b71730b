"""What a key's expiry means."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_api.access import ApiKey

instants = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the time zone is another argument


def key(expires_at: str | None) -> ApiKey:
    return ApiKey(name="default", expires_at=expires_at)


def test_a_key_without_an_expiry_never_ends() -> None:
    assert key(None).expiry is None


@given(instants)
def test_an_expiry_is_the_instant_that_it_says(instant: datetime) -> None:
    assert key(instant.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")).expiry == instant.replace(microsecond=0)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-01-01T01:30:00+01:30", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T23:00:00-01:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T00:00:00.123456789Z", datetime(2027, 1, 1, microsecond=123456, tzinfo=UTC)),
    ],
)
def test_an_expiry_may_have_a_time_zone_and_fractions(text: str, instant: datetime) -> None:
    assert key(text).expiry == instant


@pytest.mark.parametrize(
    "text", ["2027-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "2027-01-01T24:00:01Z", "9999-12-31T23:59:59-01:00"]
)
def test_what_is_no_time_is_over(text: str) -> None:
    expiry = key(text).expiry
    assert expiry is not None
    assert expiry < datetime(2000, 1, 1, tzinfo=UTC)
