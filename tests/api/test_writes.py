"""What the operator costs the API server, by its audit log."""

import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from tests.api import objects, process

from devkit.audit import Request, requests, writes
from devkit.cluster import Cluster
from devkit.waiting import until

REST_SECONDS: Final = float(os.environ.get("SHIMMY_TEST_REST_SECONDS", "60"))
_RESYNC: Final = ("--resync-seconds", "2")
_OWN: Final = {"shimmytenants", "shimmymodels", "shimmyinstances"}


def settle(cluster: Cluster) -> datetime:
    """Wait until the operator has been silent for a second; returns the time after that."""

    def silent() -> datetime | None:
        now = datetime.now(UTC)
        last = [request.time for request in requests(cluster.audit_log, process.USER)]
        return now if not last or (now - last[-1]).total_seconds() > 1 else None

    return until(silent, "the operator is silent", seconds=objects.SECONDS, every=0.1)


def by_object(found: list[Request]) -> Counter[str]:
    return Counter("/".join((request.resource, request.namespace, request.name)) for request in found)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "operator.log"


def test_creating_a_fleet_costs_one_write_per_child_and_at_most_three_per_object(installed: Cluster, log: Path) -> None:
    with process.running(installed, log, *_RESYNC):
        since = datetime.now(UTC)
        objects.make_fleet(installed, "counted")
        settle(installed)
        found = by_object(writes(installed.audit_log, process.USER, since))
    own = {name: count for name, count in found.items() if name.split("/")[0] in _OWN}
    children = {name: count for name, count in found.items() if name.split("/")[0] not in _OWN}
    assert len(own) == 3
    assert max(own.values()) <= 3
    assert set(children.values()) == {1}
    assert Counter(name.split("/")[0] for name in children) == {
        "namespaces": 1,
        "resourcequotas": 1,
        "serviceaccounts": 1,
        "networkpolicies": 3,
        "secrets": 3,
        "jobs": 1,
        "deployments": 1,
        "services": 1,
    }


def test_a_fleet_at_rest_costs_no_request_that_writes(installed: Cluster, log: Path) -> None:
    with process.running(installed, log, *_RESYNC):
        objects.make_fleet(installed, "resting")
        since = settle(installed)
        time.sleep(REST_SECONDS)
        assert requests(installed.audit_log, process.USER, since) == []


def test_a_restart_of_the_operator_changes_no_resource_version(installed: Cluster, log: Path) -> None:
    with process.running(installed, log, *_RESYNC):
        objects.make_fleet(installed, "restarted")
        since = settle(installed)
    with process.running(installed, log, *_RESYNC):
        settle(installed)
        assert requests(installed.audit_log, process.USER, since) == []
