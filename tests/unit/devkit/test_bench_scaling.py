"""The load model and the figures of `hack/bench scaling`."""

import xml.etree.ElementTree as ET

import pytest

from devkit.bench.scaling.patterns import patterns
from devkit.bench.scaling.picture import picture, thinned
from devkit.bench.scaling.queueing import Bounds, Queueing
from devkit.bench.scaling.record import Record, Sample
from shimmy_api.load import PodLoad


def test_each_pod_runs_one_request_and_the_others_wait() -> None:
    found = Queueing(Bounds(service_seconds=2))
    found.step(0, 3, ["p", "q"])
    assert found.pods(["p", "q"]) == {"p": PodLoad(in_flight=1, queued=1), "q": PodLoad(in_flight=1)}
    found.step(2, 1, ["p", "q"])
    assert (found.answered, len(found.running), len(found.waiting), found.longest_wait) == (2, 1, 0, 2)


def test_without_a_pod_requests_are_held_within_bounds() -> None:
    found = Queueing(Bounds(most_held=2, hold_seconds=10))
    found.step(0, 3, [])
    assert (found.held([]), found.lost, found.pods([])) == (2, 1, {})
    found.step(11, 0, [])
    assert (found.held([]), found.lost) == (0, 3)


def test_a_request_ends_in_its_pod_though_that_goes() -> None:
    found = Queueing(Bounds(service_seconds=2))
    found.step(0, 1, ["p"])
    found.step(1, 1, [])
    found.step(2, 0, [])
    assert (found.answered, found.lost) == (1, 0)


def record(*samples: tuple[float, float, int]) -> Record:
    return Record("r", 1, 4, [Sample(at, demand, replicas, replicas) for at, demand, replicas in samples])


def test_over_provisioning_is_what_was_there_beyond_what_was_needed() -> None:
    assert record((0, 1, 1), (10, 1.5, 4), (20, 9, 4), (30, 0, 0)).over_provisioning == pytest.approx(9 / 7)


def test_fewer_soon_after_more_is_a_reversal_and_later_is_not() -> None:
    assert record((0, 1, 1), (10, 3, 3), (20, 1, 1)).reversals == 1
    assert record((0, 1, 1), (10, 3, 3), (400, 1, 1)).reversals == 0
    assert record((0, 1, 1), (10, 3, 3), (400, 1, 1)).changes == 2


def test_the_picture_has_a_panel_with_every_line_for_each_record() -> None:
    found = ET.fromstring(picture([record((0, 1, 1), (10, 3, 3)), record((0, 0, 0), (1, 0, 0))]))
    assert len(found.findall("{http://www.w3.org/2000/svg}polyline")) == 8


def test_a_line_has_only_the_points_that_it_needs() -> None:
    points = ["0,1", "1,1", "2,1", "2,3", "3,3", "4,3"]
    assert list(thinned(points)) == ["0,1", "2,1", "2,3", "4,3"]


def test_all_patterns_stay_within_what_pods_can_be_had_for() -> None:
    for pattern in patterns(1800):
        assert all(0 <= pattern.demand(at) <= pattern.max_replicas for at in range(0, 1800, 7))
