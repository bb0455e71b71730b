"""A real API server and etcd, with the operator's CRDs and rights in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api import process

from devkit.cluster import Cluster
from devkit.testing import api_server as api_server


@pytest.fixture(scope="session")
def installed(api_server: Cluster) -> Cluster:
    """The API server with everything that the operator needs, and no operator."""
    process.install(api_server)
    return api_server


@pytest.fixture
def cluster(installed: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """The same with an operator that runs for this test, and looks at everything every 2 s."""
    with process.running(installed, tmp_path / "operator.log", "--resync-seconds", "2"):
        yield installed
