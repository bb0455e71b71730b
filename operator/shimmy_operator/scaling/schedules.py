"""When schedules are on. Times of day are those of their time zone, so that 8:00 is 8:00 in summer and in winter."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from shimmy_api.autoscaling import Schedule


@dataclass(frozen=True, slots=True)
class Now:
    """Whether a schedule is on, and when that changes next."""

    on: bool
    until: datetime
    """In UTC."""


class ScheduleError(ValueError):
    """A schedule passes the schema and means nothing; the message says why."""


def look(schedule: Schedule, now: datetime) -> Now:
    """A schedule is on if it began after it last ended.

    Raises:
        ScheduleError: there is no such time zone, or a time that never comes.
    """
    try:
        local = now.astimezone(ZoneInfo(schedule.time_zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError(f"there is no time zone {schedule.time_zone}") from error
    began, ended = _last("start", schedule.start, local), _last("end", schedule.end, local)
    until = min(_next("start", schedule.start, local), _next("end", schedule.end, local))
    return Now(began is not None and (ended is None or began > ended), until)


def _last(field: str, cron: str, local: datetime) -> datetime | None:
    """The last time until now; None if there was none within 50 years."""
    # A search begins beyond the minute that it is given. In an hour that there is twice, times of day have passed
    # once: it begins beyond that hour.
    margin = timedelta(hours=2) if local.fold else timedelta(minutes=1)
    beyond = (local.astimezone(UTC).replace(second=0, microsecond=0) + margin).astimezone(local.tzinfo)
    found = (one.astimezone(UTC) for one in _times(field, cron, beyond, reverse=True))
    return next((one for one in found if one <= local), None)


def _next(field: str, cron: str, local: datetime) -> datetime:
    found = (one.astimezone(UTC) for one in _times(field, cron, local, reverse=False))
    coming = next((one for one in found if one > local), None)
    if coming is None:
        raise ScheduleError(f"{field} {cron!r} never comes")
    return coming


def _times(field: str, cron: str, local: datetime, *, reverse: bool) -> CronSim:
    try:
        return CronSim(cron, local, reverse=reverse)
    except CronSimError as error:
        raise ScheduleError(f"{field} {cron!r} is no time: {error}") from error
