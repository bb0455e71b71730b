"""The real node on this machine does what its users' clusters do. Needs root on Linux."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.real_node import RealNode, furnish

from devkit import cluster, processes
from devkit.cluster import Cluster
from devkit.cluster.node.settings import Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    started = cluster.start("node", f"test-node-{os.getpid()}", gpus=2, owned=True)
    try:
        furnish(started)
        yield started
    finally:
        started.stop()


class TestNode(RealNode):
    def test_this_machine_reaches_a_service_by_its_address(self, node: Cluster) -> None:
        address = node.client.json("/api/v1/namespaces/default/services/echo")["spec"]["clusterIP"]

        assert "path=/from-here" in httpx.get(f"http://{address}/from-here", trust_env=False).text


def test_a_node_leaves_nothing_behind() -> None:
    started = cluster.start("node", f"test-gone-{os.getpid()}", owned=True)
    own = Node(started.state, started.layout)
    assert all(traces(own).values())

    for known in started.processes.all()[:3]:  # a crash of some parts is no excuse
        started.processes.stop(known.name, at_once=True)
    started.stop()

    assert not any(traces(own).values()), traces(own)
    assert not started.folder.exists()


def traces(node: Node) -> dict[str, list[str]]:
    """What a node leaves on a machine while it is up."""

    def lines(*command: str) -> list[str]:
        marks = (str(node.layout.folder), node.own, node.plan.interface)
        listed = subprocess.check_output(command, text=True).splitlines()
        return [line for line in listed if any(mark in line for mark in marks)]

    folders = ("run", "run/netns", "var/lib/cni/*", "var/log/containers", "sys/fs/cgroup/*", "sys/fs/cgroup")
    return {
        "processes": [str(known.pid) for known in processes.marked(node.layout.folder)],
        "mounts": lines("cat", "/proc/self/mounts"),
        "links": lines("ip", "-o", "link"),
        "routes": lines("ip", "route", "show", "table", "all"),
        "files": [str(path) for f in folders for path in Path("/").glob(f"{f}/*{node.own}*")],
    }
