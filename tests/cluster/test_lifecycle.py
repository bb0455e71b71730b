"""Clusters are found again, kept apart and removed, also after a crash."""

import os
import subprocess
import sys

import pytest

from devkit import cluster
from devkit.paths import clusters

ABANDON = "import sys; from devkit import cluster; cluster.start('api', sys.argv[1], owned=True)"


def test_a_cluster_that_runs_is_returned_and_no_second_one_started() -> None:
    name = f"test-twice-{os.getpid()}"
    first = cluster.start("api", name, owned=True)
    try:
        again = cluster.start("api", name, owned=True)
        assert again.processes.all() == first.processes.all()
        with pytest.raises(cluster.ClusterError, match="runs with profile api; stop it first"):
            cluster.start("cluster", name, owned=True)
    finally:
        first.stop()
    assert not first.folder.exists()


def test_a_cluster_is_removed_when_its_owner_ended_without_doing_so() -> None:
    name = f"test-orphan-{os.getpid()}"
    subprocess.run([sys.executable, "-c", ABANDON, name], check=True, capture_output=True)
    orphan = cluster.Cluster.open(clusters() / name)
    assert orphan.alive()

    cluster.remove_orphans()

    assert not orphan.alive()
    assert not orphan.folder.exists()


def test_what_a_crash_left_is_replaced() -> None:
    name = f"test-crash-{os.getpid()}"
    broken = cluster.start("api", name, owned=True)
    broken.processes.stop("kube-apiserver", at_once=True)
    etcd = broken.processes.get("etcd")

    started = cluster.start("api", name, owned=True)
    try:
        assert started.alive()
        assert etcd is not None
        assert not etcd.alive()
    finally:
        started.stop()


@pytest.mark.parametrize("name", ["", "../x", "Upper", "a" * 31, "1st"])
def test_a_name_that_fits_nowhere_is_refused(name: str) -> None:
    with pytest.raises(cluster.ClusterError, match="bad name"):
        cluster.start("api", name)
