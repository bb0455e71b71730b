from collections.abc import Iterator

import pytest
from tests.cluster import operated as operation
from tests.cluster.operated import Operated

from devkit.cluster import Cluster
from devkit.testing import simulated_cluster as simulated_cluster


@pytest.fixture(scope="session")
def operated(simulated_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """One tenant for all tests of scaling: its parts take long to start."""
    with operation.operated(simulated_cluster, tmp_path_factory.mktemp("operated")) as running:
        yield running
