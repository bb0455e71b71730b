"""The bounds of an instance now, schedules included."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shimmy_api.autoscaling import Autoscaling, Schedule
from shimmy_operator.scaling.schedules import ScheduleError, look


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many pods there may be now."""

    least: int
    """Of each Deployment."""
    most: int
    """Of all Deployments together."""
    on: tuple[str, ...] = ()
    """Names of the schedules that are on."""
    scheduled: bool = False
    """Whether a schedule says the least."""
    until: datetime | None = None
    """When a schedule begins or ends next."""
    problems: tuple[str, ...] = ()
    """What is wrong with schedules, which are left out, and with bounds, which `most` has no room for."""


def bounds_now(autoscaling: Autoscaling, deployments: int, now: datetime) -> Bounds:
    """The bounds of an instance with so many Deployments."""
    on: list[Schedule] = []
    times, problems = [], []
    for schedule in autoscaling.schedules:
        try:
            found = look(schedule, now)
        except ScheduleError as error:
            problems.append(f"Schedule {schedule.name} is left out: {error}.")
            continue
        times.append(found.until)
        if found.on:
            on.append(schedule)
    least, scheduled = _highest([one.min_replicas for one in on], autoscaling.min_replicas)
    most, _ = _highest([one.max_replicas for one in on], autoscaling.max_replicas)
    if least * deployments > most:
        problems.append(f"maxReplicas {most} has no room for minReplicas {least} of {deployments}.")
        least = most // deployments
    return Bounds(
        least=least,
        most=most,
        on=tuple(sorted(one.name for one in on)),
        scheduled=scheduled,
        until=min(times, default=None),
        problems=tuple(problems),
    )


def _highest(given: Sequence[int | None], own: int) -> tuple[int, bool]:
    scheduled = [one for one in given if one is not None]
    return (max(scheduled), True) if scheduled else (own, False)
