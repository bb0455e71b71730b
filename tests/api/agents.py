"""The router's agent as a process of its own, with a ServiceAccount's rights and no others."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from devkit import ports
from devkit.cluster import Cluster
from devkit.cluster.client import Client

START = 60.0
"""Seconds within which one that was started knows the fleet."""
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


class Agent:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/debug/tenants"

    def credentials(self) -> dict[str, list[str]]:
        """Names of the credentials of each tenant that it serves; empty until it knows."""
        try:
            answer = httpx.get(self._url, trust_env=False)
        except httpx.TransportError:
            return {}
        if not answer.is_success:
            return {}
        return {one["name"]: [entry["name"] for entry in one["credentials"]] for one in answer.json()["tenants"]}


@contextmanager
def agent(cluster: Cluster, namespace: str, account: str, folder: Path, *options: str) -> Iterator[Agent]:
    """An agent in a namespace."""
    folder.mkdir(exist_ok=True)
    metrics_port, debug_port = ports.free(2)
    command = [sys.executable, "-m", "shimmy_router", "agent", "--run", str(folder), "--host", "127.0.0.1"]
    command += ["--kubeconfig", str(cluster.credentials(*identity(namespace, account))), "--namespace", namespace]
    command += ["--metrics-port", str(metrics_port), "--debug-port", str(debug_port), *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ, stdout=log, stderr=log)
    try:
        yield Agent(debug_port)
    finally:
        process.terminate()
        process.wait(20)


def identity(namespace: str, account: str) -> tuple[str, Sequence[str]]:
    """User and groups of a ServiceAccount."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return f"system:serviceaccount:{namespace}:{account}", groups


def rights(client: Client, namespace: str) -> set[tuple[str, str]]:
    """Resource and verb of everything that RBAC allows there, beside asking what is allowed."""
    body: dict[str, Any] = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    rules = client.json(REVIEW, "POST", body | {"spec": {"namespace": namespace}})["status"]["resourceRules"]
    return {
        (resource, verb)
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if not resource.startswith("selfsubject")
    }
