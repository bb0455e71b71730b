"""Keys end when they end, whether or not the agent is there to say so."""

import time
from datetime import UTC, datetime

import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import START, key_of, model, tenant

from devkit.waiting import until

ENDING, LASTING = key_of("e"), key_of("e", number=1)


def _write(fleet: Fleet, ends: float) -> None:
    policies = {"0": {"expiresAt": datetime.fromtimestamp(ends, UTC).isoformat()}}
    objects = [
        *tenant("e", token=TOKEN, keys=[ENDING, LASTING], policies=policies),
        *model("e", "m", ports=[fleet.port]),
    ]
    fleet.objects.write("e", objects)


def _status(fleet: Fleet, key: str) -> int:
    with fleet.plane.client(key) as client:
        return client.get("/v1/models").status_code


def _served(fleet: Fleet) -> None:
    until(lambda: {_status(fleet, key) for key in (ENDING, LASTING)} == {200}, "both keys", seconds=20)


def _ends(fleet: Fleet, ends: float) -> None:
    """The key is good until its time, and no longer."""
    while _status(fleet, ENDING) == 200:
        assert time.time() < ends + 1
    assert time.time() >= ends
    assert _status(fleet, LASTING) == 200


@pytest.fixture(autouse=True)
def without_e(fleet: Fleet) -> None:
    fleet.objects.write("e", [])
    until(lambda: {_status(fleet, key) for key in (ENDING, LASTING)} == {401}, "no key", seconds=20)


def test_a_key_ends_when_its_time_has_come(fleet: Fleet) -> None:
    ends = time.time() + 4
    _write(fleet, ends)
    _served(fleet)
    _ends(fleet, ends)


def test_a_key_ends_in_envoy_itself_while_the_agent_is_dead_and_stays_ended_when_it_is_back(fleet: Fleet) -> None:
    ends = time.time() + 8
    _write(fleet, ends)
    _served(fleet)
    fleet.plane.kill_agent()
    _ends(fleet, ends)
    fleet.plane.start_agent()
    until(lambda: "shimmy_router_synced 1.0" in fleet.plane.metrics(), "the agent", seconds=START)
    assert _status(fleet, ENDING) == 401


def test_a_restart_of_the_agent_leaves_the_time_as_it_is(fleet: Fleet) -> None:
    ends = time.time() + 8
    _write(fleet, ends)
    _served(fleet)
    fleet.plane.kill_agent()
    fleet.plane.start_agent()
    until(lambda: "shimmy_router_synced 1.0" in fleet.plane.metrics(), "the agent", seconds=START)
    fleet.plane.kill_agent()
    try:
        _ends(fleet, ends)
    finally:
        fleet.plane.start_agent()


def test_a_later_end_replaces_the_earlier_one_even_after_that(fleet: Fleet) -> None:
    first = time.time() + 4
    _write(fleet, first)
    _served(fleet)
    _write(fleet, first + 3600)
    until(lambda: time.time() > first + 1 or _status(fleet, ENDING) != 200, "the first end", seconds=20)
    assert _status(fleet, ENDING) == 200
    _write(fleet, time.time() - 1)
    until(lambda: _status(fleet, ENDING) == 401, "an end in the past", seconds=20)
    _write(fleet, time.time() + 3600)
    _served(fleet)
