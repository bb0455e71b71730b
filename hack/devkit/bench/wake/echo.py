"""The workload of every subject: a server that starts at once, and is ready as soon as it runs."""

from typing import Any, Final

from devkit.cluster.node.system_images import ECHO

NAME: Final = "echo"
NAMESPACE: Final = "default"
PORT: Final = 8080


def deployment() -> dict[str, Any]:
    """Without a pod."""
    container = {"name": NAME, "image": ECHO, "imagePullPolicy": "Never", "ports": [{"containerPort": PORT}]}
    template = {
        "metadata": {"labels": {"app": NAME}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": NAME}}, "template": template},
    }


def service() -> dict[str, Any]:
    """Of its pods, at port 80."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": PORT}]},
    }
