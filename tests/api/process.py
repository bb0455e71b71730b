"""The operator as a process of its own, with its ServiceAccount's rights and no others."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devkit import ports
from devkit.cluster import Cluster
from devkit.paths import REPOSITORY
from devkit.waiting import until

NAMESPACE: Final = "shimmy-system"
USER: Final = f"system:serviceaccount:{NAMESPACE}:shimmy-operator"
_GROUPS: Final = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")


def install(cluster: Cluster) -> None:
    """CRDs, the router's namespace, and the operator's rights."""
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(REPOSITORY / "crds"))
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_operator/rbac.yaml"))


@contextmanager
def running(cluster: Cluster, log: Path, *flags: str) -> Iterator[None]:
    """Run the operator until the block ends; it has listed everything when the block begins."""
    process = start(cluster, log, *flags)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=10)
    assert code == 0, f"the operator ended with {code}:\n{log.read_text()[-4000:]}"


def start(cluster: Cluster, log: Path, *flags: str) -> "subprocess.Popen[bytes]":
    """Start the operator; it has listed everything when this returns."""
    health = ports.free(1)[0]
    command = [sys.executable, "-m", "shimmy_operator", "--kubeconfig", str(cluster.credentials(USER, _GROUPS))]
    command += ["--host", "127.0.0.1", "--metrics-port", "0", "--health-port", str(health), *flags]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONASYNCIODEBUG": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        until(lambda: _ready(process, health, log), "the operator is ready", seconds=20)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert process.poll() is None, f"the operator ended:\n{log.read_text()[-4000:]}"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
