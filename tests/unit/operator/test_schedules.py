"""When schedules are on, and which bounds that gives."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shimmy_api.autoscaling import Autoscaling, Schedule
from shimmy_operator.scaling.bounds import bounds_now
from shimmy_operator.scaling.schedules import ScheduleError, look

OFFICE = {"name": "office", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "timeZone": "Europe/Berlin"}


def schedule(**fields: Any) -> Schedule:
    return Schedule.model_validate({**OFFICE, "minReplicas": 1, **fields})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "on", "until"),
    [
        ("2026-01-07T07:59:59+01:00", False, "2026-01-07T08:00+01:00"),
        ("2026-01-07T08:00:00+01:00", True, "2026-01-07T18:00+01:00"),
        ("2026-01-07T17:59:59+01:00", True, "2026-01-07T18:00+01:00"),
        ("2026-01-07T18:00:00+01:00", False, "2026-01-08T08:00+01:00"),
        ("2026-01-10T12:00:00+01:00", False, "2026-01-12T08:00+01:00"),  # a Saturday
        ("2026-07-07T08:00:00+02:00", True, "2026-07-07T18:00+02:00"),
        ("2026-07-07T07:59:00+02:00", False, "2026-07-07T08:00+02:00"),
    ],
)
def test_a_schedule_goes_by_the_clock_of_its_time_zone(now: str, on: bool, until: str) -> None:
    found = look(schedule(), at(now))
    assert (found.on, found.until) == (on, at(until))


def test_a_schedule_that_spans_a_night_or_a_weekend_is_on_until_it_ends() -> None:
    night = schedule(start="0 22 * * 5", end="0 6 * * 1")
    assert look(night, at("2026-01-11T12:00+01:00")).on  # Sunday
    assert not look(night, at("2026-01-12T06:00+01:00")).on


def test_an_hour_that_there_is_not_begins_when_the_clock_has_jumped() -> None:
    spring = schedule(start="30 2 * * *", end="0 5 * * *")
    assert not look(spring, at("2026-03-29T01:59:59+01:00")).on
    assert look(spring, at("2026-03-29T03:00:00+02:00")).on
    assert not look(spring, at("2026-03-29T05:00:00+02:00")).on


def test_an_hour_that_there_is_twice_begins_once() -> None:
    autumn = schedule(start="30 2 * * *", end="45 2 * * *")
    assert look(autumn, at("2026-10-25T02:30:00+02:00")).on
    assert not look(autumn, at("2026-10-25T02:50:00+02:00")).on
    assert not look(autumn, at("2026-10-25T02:35:00+01:00")).on


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timeZone": "Europe/Atlantis"}, "no time zone Europe/Atlantis"),
        ({"start": "61 * * * *"}, "start '61 \\* \\* \\* \\*' is no time"),
        ({"end": "0 0 30 2 *"}, "end '0 0 30 2 \\*' is no time"),
        ({"start": "a b c d e"}, "is no time"),
    ],
)
def test_a_schedule_that_means_nothing_says_why(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        look(schedule(**fields), at("2026-01-07T12:00Z"))


def test_where_several_schedules_are_on_the_highest_bounds_count() -> None:
    always = {"start": "* * * * *", "end": "0 0 29 2 *"}
    autoscaling = Autoscaling.model_validate(
        {
            "minReplicas": 2,
            "maxReplicas": 10,
            "schedules": [
                {"name": "a", **always, "minReplicas": 0},
                {"name": "b", **always, "minReplicas": 1, "maxReplicas": 5},
                {"name": "c", **always, "maxReplicas": 8},
                OFFICE | {"minReplicas": 7},
            ],
        }
    )
    now = at("2026-01-10T12:00Z")
    found = bounds_now(autoscaling, 1, now)
    assert (found.least, found.most, found.on, found.problems) == (1, 8, ("a", "b", "c"), ())
    assert found.scheduled
    assert found.until is not None
    assert now < found.until <= now + timedelta(minutes=1)


def test_a_schedule_that_asks_for_more_than_there_may_be_gets_what_there_is_room_for() -> None:
    always = {"name": "a", "start": "* * * * *", "end": "0 0 29 2 *"}
    autoscaling = Autoscaling.model_validate({"maxReplicas": 5, "schedules": [{**always, "minReplicas": 4}]})
    found = bounds_now(autoscaling, 2, at("2026-01-10T12:00Z"))
    assert (found.least, found.most) == (2, 5)
    assert found.problems == ("maxReplicas 5 has no room for minReplicas 4 of 2.",)
