"""Fixtures for the test tiers that need a real API server.

A tier's conftest.py imports the fixture that it needs:

    from devkit.testing import api_server as api_server
"""

import os
from collections.abc import Iterator

import pytest

from devkit import cluster
from devkit.cluster import Cluster, Profile


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    """A cluster with profile `api` for this test session only."""
    yield from _session("api")


@pytest.fixture(scope="session")
def simulated_cluster() -> Iterator[Cluster]:
    """A cluster with profile `cluster` for this test session only: 2 nodes with 8 GPUs each."""
    yield from _session("cluster")


def _session(profile: Profile) -> Iterator[Cluster]:
    started = cluster.start(profile, f"test-{profile}-{os.getpid()}", owned=True)
    cluster.require_ours(started.kubeconfig)
    try:
        yield started
    finally:
        started.stop()
