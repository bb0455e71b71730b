"""kind gives the same cluster. Needs Docker."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from tests.real_node import RealNode, furnish

from devkit import audit, cluster
from devkit.cluster import Cluster
from devkit.cluster.node import system_images


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    started = cluster.start("kind", f"test-kind-{os.getpid()}", gpus=2, owned=True)
    try:
        started.load([system_images.build()])
        furnish(started)
        yield started
    finally:
        started.stop()


class TestKind(RealNode):
    def test_the_audit_log_is_there(self, node: Cluster) -> None:
        node.kubectl("create", "configmap", "logged")

        assert "logged" in [w.name for w in audit.writes(node.audit_log, "administrator")]


def test_a_deleted_cluster_leaves_no_container() -> None:
    started = cluster.start("kind", f"test-gone-{os.getpid()}", owned=True)
    started.stop()

    listed = subprocess.check_output(["docker", "ps", "--all", "--format={{.Names}}"], text=True)
    assert started.context not in listed
    assert not started.folder.exists()
