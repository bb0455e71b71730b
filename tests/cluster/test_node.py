"""The real node does what its users' clusters do: network, names, policies, volumes, streams. Needs root on Linux."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from devkit import cluster, ports, processes
from devkit.cluster import Cluster
from devkit.cluster.node.settings import Node
from devkit.cluster.node.system_images import ECHO, SHELL
from devkit.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")
SECONDS = 60
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    started = cluster.start("node", f"test-node-{os.getpid()}", gpus=2, owned=True)
    try:
        # Deny everything in `walled`, except what carries the label.
        apply(
            started,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "walled"}},
            deny("walled"),
            echo("walled"),
            echo("default"),
            caller("stranger", {}),
            caller("friend", {"may": "enter"}),
        )
        for namespace in ("walled", "default"):
            started.kubectl("rollout", "status", "-n", namespace, "deployment/echo", f"--timeout={SECONDS}s")
        started.kubectl("wait", "--for=condition=Ready", "pod/stranger", "pod/friend", f"--timeout={SECONDS}s")
        yield started
    finally:
        started.stop()


def apply(on: Cluster, *objects: dict[str, Any]) -> None:
    on.kubectl("apply", "--server-side", "-f", "-", standard_input=yaml.safe_dump_all(objects))


def deny(namespace: str) -> dict[str, Any]:
    entry = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"may": "enter"}}}
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [entry]}]}
    metadata = {"name": "deny", "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def container(image: str, *command: str) -> dict[str, Any]:
    run = {"command": list(command)} if command else {}
    return {"name": "c", "image": image, "imagePullPolicy": "Never", "securityContext": RESTRICTED, **run}


def echo(namespace: str) -> dict[str, Any]:
    probed = container(ECHO) | {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
    template = {
        "metadata": {"labels": {"app": "echo"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [probed]},
    }
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "echo", "namespace": namespace},
                "spec": {"selector": {"matchLabels": {"app": "echo"}}, "template": template},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "echo", "namespace": namespace},
                "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": 8080}]},
            },
        ],
    }


def caller(name: str, labels: dict[str, str]) -> dict[str, Any]:
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container(ECHO)]}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def get(on: Cluster, pod: str, url: str) -> str:
    """What the pod gets from `url`, or the empty string where it gets nothing."""
    try:
        return on.kubectl("exec", pod, "--", "/echo", "get", url)
    except cluster.ClusterError:
        return ""


def test_pods_reach_services_by_name(node: Cluster) -> None:
    assert "path=/by-name" in get(node, "stranger", "http://echo.default.svc.cluster.local/by-name")


def test_a_policy_keeps_strangers_out_and_lets_the_label_in(node: Cluster) -> None:
    url = "http://echo.walled.svc.cluster.local/"

    until(lambda: get(node, "friend", url), "the label opens the way", seconds=SECONDS)
    assert get(node, "stranger", url) == ""


def test_a_walled_pod_reaches_nothing(node: Cluster) -> None:
    with pytest.raises(cluster.ClusterError, match="exit code 1"):
        node.kubectl("exec", "-n", "walled", "deploy/echo", "--", "/echo", "dns", "echo.default.svc.cluster.local")


def test_this_machine_reaches_a_service_by_its_address(node: Cluster) -> None:
    address = node.client.json("/api/v1/namespaces/default/services/echo")["spec"]["clusterIP"]

    assert "path=/from-here" in httpx.get(f"http://{address}/from-here", trust_env=False).text


def test_a_port_can_be_forwarded(node: Cluster) -> None:
    (port,) = ports.free(1)
    command = ["port-forward", "service/echo", f"{port}:80"]
    with node.start_kubectl(*command) as forwarding:

        def answer() -> str:
            assert forwarding.poll() is None
            try:
                return httpx.get(f"http://127.0.0.1:{port}/forwarded", trust_env=False).text
            except httpx.TransportError:
                return ""

        assert "path=/forwarded" in until(answer, "the port is forwarded", seconds=SECONDS)
        forwarding.terminate()


def test_logs_can_be_read(node: Cluster) -> None:
    assert "listening" in node.kubectl("logs", "deployment/echo")


def test_a_claim_gets_a_volume_that_keeps_what_is_written(node: Cluster) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    writer = container(SHELL, "sh", "-c", "echo kept > /data/file && cat /data/file")
    writer["securityContext"] = RESTRICTED | {"runAsUser": 65532}
    writer["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    spec = {
        "restartPolicy": "Never",
        "containers": [writer],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}],
    }
    apply(node, claim, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec})

    node.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/writer", f"--timeout={SECONDS}s")

    assert node.kubectl("logs", "writer") == "kept\n"


def test_the_node_says_that_it_has_gpus(node: Cluster) -> None:
    (only,) = node.client.json("/api/v1/nodes")["items"]

    until(
        lambda: node.client.json("/api/v1/nodes")["items"][0]["status"]["allocatable"].get("nvidia.com/gpu") == "2",
        "the node offers its GPUs",
        seconds=SECONDS,
    )
    assert only["metadata"]["labels"]["shimmy.dev/development-node"] == "real"


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
