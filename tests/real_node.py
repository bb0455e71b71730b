"""What a cluster with a real node must do, whatever it is made of: network, names, policies, volumes, streams."""

from typing import Any

import httpx
import pytest
import yaml

from devkit import cluster, ports
from devkit.cluster import Cluster
from devkit.cluster.node.system_images import ECHO, SHELL
from devkit.waiting import until

SECONDS = 60
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}


def furnish(on: Cluster) -> None:
    """A Service each in the namespaces `default` and `walled`, a wall around the latter, and two that call."""
    apply(
        on,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "walled"}},
        deny("walled"),
        *echo("walled"),
        *echo("default"),
        caller("stranger", {}),
        caller("friend", {"may": "enter"}),
    )
    for namespace in ("walled", "default"):
        on.kubectl("rollout", "status", "-n", namespace, "deployment/echo", f"--timeout={SECONDS}s")
    on.kubectl("wait", "--for=condition=Ready", "pod/stranger", "pod/friend", f"--timeout={SECONDS}s")


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


def echo(namespace: str) -> list[dict[str, Any]]:
    probed = container(ECHO) | {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
    template = {
        "metadata": {"labels": {"app": "echo"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [probed]},
    }
    metadata = {"name": "echo", "namespace": namespace}
    selector = {"app": "echo"}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": selector}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


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


class RealNode:
    """Tests of a furnished cluster that the fixture `node` gives, with 2 GPUs."""

    def test_pods_reach_services_by_name(self, node: Cluster) -> None:
        url = "http://echo.default.svc.cluster.local/by-name"

        # A Service can refuse for a second after its pods are ready, until kube-proxy has written its rules.
        assert "path=/by-name" in until(lambda: get(node, "stranger", url), "the Service answers", seconds=SECONDS)

    def test_a_policy_keeps_strangers_out_and_lets_the_label_in(self, node: Cluster) -> None:
        url = "http://echo.walled.svc.cluster.local/"

        until(lambda: get(node, "friend", url), "the label opens the way", seconds=SECONDS)
        assert get(node, "stranger", url) == ""

    def test_a_walled_pod_reaches_nothing(self, node: Cluster) -> None:
        with pytest.raises(cluster.ClusterError, match="exit code 1"):
            node.kubectl("exec", "-n", "walled", "deploy/echo", "--", "/echo", "dns", "echo.default.svc.cluster.local")

    def test_a_port_can_be_forwarded(self, node: Cluster) -> None:
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

    def test_logs_can_be_read(self, node: Cluster) -> None:
        assert "listening" in node.kubectl("logs", "deployment/echo")

    def test_a_claim_gets_a_volume_that_keeps_what_is_written(self, node: Cluster) -> None:
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

    def test_the_node_says_that_it_has_gpus(self, node: Cluster) -> None:
        (only,) = node.client.json("/api/v1/nodes")["items"]

        assert only["status"]["allocatable"]["nvidia.com/gpu"] == "2"
        assert only["metadata"]["labels"]["shimmy.dev/development-node"] == "real"
