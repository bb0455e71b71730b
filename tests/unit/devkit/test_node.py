import ipaddress
import json
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from devkit.cluster import State
from devkit.cluster.control_plane import Layout
from devkit.cluster.node import archive, cgroups, network, settings
from devkit.cluster.node.archive import Image
from devkit.cluster.node.network import Plan
from devkit.cluster.node.settings import Node
from devkit.packages import Part, missing

STATE = State(
    name="a", profile="node", host="", ports={"kube-apiserver": 20000}, service_range="", pod_range="", network=3
)
NODE = Node(STATE, Layout(Path("/cache/clusters/a")))


def test_no_two_networks_overlap() -> None:
    plans = [Plan(number) for number in range(network.SUBNETS)]
    ranges = [r for plan in plans for r in (plan.link, plan.pods, plan.services)]

    assert not any(a.overlaps(b) for i, a in enumerate(ranges) for b in ranges[i + 1 :])
    assert all(len(plan.interface) <= 15 for plan in plans)


def test_a_network_that_the_machine_has_a_route_to_is_left_alone() -> None:
    vpn = ipaddress.IPv4Network("10.244.0.0/23")

    assert network.choose([2], [vpn, ipaddress.IPv4Network("192.168.0.0/16")]).number == 3


def test_no_network_is_left() -> None:
    with pytest.raises(OSError, match=r"10\.201\.0\.0/16"):
        network.choose([], [ipaddress.IPv4Network("10.0.0.0/8")])


def test_addresses_are_where_the_programs_expect_them() -> None:
    plan = Plan(1)

    assert (plan.machine, plan.node, plan.dns) == ("10.201.1.1", "10.201.1.2", "10.96.4.10")


def test_configurations_can_be_read_by_their_programs() -> None:
    containerd = tomllib.loads(settings.containerd(NODE, Path("/opt/cni/bin"), restrict_oom_score=True))
    pods = json.loads(settings.pod_network(NODE))
    kubelet = yaml.safe_load(settings.kubelet(NODE))

    assert containerd["plugins"]["io.containerd.grpc.v1.cri"]["restrict_oom_score_adj"] is True
    assert pods["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]
    assert kubelet["containerRuntimeEndpoint"] == f"unix://{containerd['grpc']['address']}"
    assert kubelet["clusterDNS"] == ["10.96.12.10"]
    assert yaml.safe_load(settings.proxy(NODE))["clusterCIDR"] == "10.244.3.0/24"


def test_version_1_groups_get_processors_and_memory(tmp_path: Path) -> None:
    for hierarchy in ("cpuset", "memory", "unified"):
        (tmp_path / hierarchy).mkdir()
        (tmp_path / hierarchy / "cgroup.procs").touch()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")

    cgroups.create("group", tmp_path)

    assert (tmp_path / "cpuset" / "group" / "cpuset.cpus").read_text() == "0-1\n"
    assert (tmp_path / "memory" / "group").is_dir()
    assert not (tmp_path / "unified" / "group").exists()


def test_version_2_hands_its_controllers_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma\n")

    cgroups.create("group", tmp_path)

    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +io +memory +pids"
    assert (tmp_path / "group").is_dir()


def test_an_archive_holds_images_that_a_runtime_can_read(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    path = tmp_path / "images.tar"

    archive.write(
        path,
        [Image("a.local/a:1", ["/bin/a"], "1:1", {"/bin/a": program}, {"/bin/b": "a"}, {"/tmp": 0o1777})],
    )

    with tarfile.open(path) as tar:
        (listed,) = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(tar.extractfile(listed["Config"]) or pytest.fail("no configuration"))
        (layer_name,) = listed["Layers"]
        with tarfile.open(fileobj=tar.extractfile(layer_name)) as layer:
            entries = {entry.name: entry for entry in layer.getmembers()}
    assert listed["RepoTags"] == ["a.local/a:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer_name.split('/')[0]}"]
    assert list(entries) == ["bin", "tmp", "bin/a", "bin/b"]
    assert entries["tmp"].mode == 0o1777
    assert entries["bin/a"].mode == 0o755
    assert entries["bin/b"].linkname == "a"


def test_missing_packages_are_named_once() -> None:
    parts = [Part("a", "p", lambda: False), Part("b", "p", lambda: False), Part("c", "q", lambda: True)]

    assert missing(parts) == ["p"]
