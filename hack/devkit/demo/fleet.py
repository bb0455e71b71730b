"""The steps from an empty cluster to a model that answers."""

import base64
import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit.binaries import ensure
from devkit.kubectl import Kubectl
from devkit.paths import REPOSITORY
from devkit.progress import say, step
from shimmy_api import names

SYSTEM_NAMESPACE: Final = "shimmy-system"
TENANT: Final = "demo"
NAMESPACE: Final = names.tenant_namespace(TENANT)
MODEL: Final = "smollm2-135m"
INSTANCE: Final = "chat"
EXAMPLES: Final = REPOSITORY / "examples" / "demo"

_SMALL: Final = ("router.replicas=1", "router.envoy.resources.requests.cpu=100m", "meter.replicas=1")
"""For a machine with two cores, of which kind's own control plane takes almost one."""

_RECEIVE: Final = """
import os, pathlib, shutil, sys
target = pathlib.Path("/models", sys.argv[1])
partial = target.with_suffix(".partial")
with partial.open("wb") as file:
    shutil.copyfileobj(sys.stdin.buffer, file)
    os.fsync(file.fileno())
partial.rename(target)
"""

_DIGEST: Final = """
import hashlib, pathlib, sys
file = pathlib.Path("/models", sys.argv[1])
print(hashlib.file_digest(file.open("rb"), "sha256").hexdigest() if file.exists() else "")
"""


class HelmError(Exception):
    """Helm refused; the message is its own."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet on one cluster."""

    kubectl: Kubectl

    def install(self, *values: str) -> None:
        """Install or upgrade the two charts; `values` are further --set arguments.

        Raises:
            HelmError: helm refused, or the pods did not become ready.
        """
        with step("installing shimmy-crds and shimmy-operator with Helm"):
            self.helm("upgrade", "--install", "shimmy-crds", str(REPOSITORY / "helm/shimmy-crds"), "--create-namespace")
            settings = [argument for value in (*_SMALL, *values) for argument in ("--set", value)]
            chart = str(REPOSITORY / "helm/shimmy-operator")
            self.helm("upgrade", "--install", "shimmy", chart, "--create-namespace", "--wait", *settings)

    def helm(self, *arguments: str) -> str:
        """Run helm in the system's namespace and return what it prints.

        Raises:
            HelmError: helm ended with an error.
        """
        scope = ["--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", SYSTEM_NAMESPACE, "--timeout", "4m"]
        result = subprocess.run([str(ensure("helm")), *arguments, *scope], capture_output=True, text=True, check=False)
        if result.returncode:
            raise HelmError(f"helm {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def restart(self, images: Iterable[str]) -> None:
        """Restart the pods that run these images."""
        for name in images:
            if name.startswith("shimmy-engine"):
                self.kubectl.run("delete", "pods", "-A", "-l", f"{names.LABEL_COMPONENT}={names.ENGINE}")
            else:
                for verb in ("restart", "status"):
                    self.kubectl.run("rollout", verb, f"deployment/{name}", "-n", SYSTEM_NAMESPACE)

    def apply_example(self, name: str) -> None:
        """Apply one file of examples/demo."""
        self.kubectl.apply((EXAMPLES / name).read_text(encoding="utf-8"))

    def fill_volume(self, model: Path) -> None:
        """Make the demo's volume, with a model file on it."""
        self.apply_example("volume.yaml")
        self.kubectl.run("wait", "pod/model-loader", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=120s")
        self.copy_to_volume(model)

    def copy_to_volume(self, model: Path) -> None:
        """Copy a model file onto the demo's volume, unless it is there."""
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        if self.kubectl.run(*self._loader(_DIGEST, model.name)).strip() == digest:
            return
        with (
            step(f"copying {model.name} ({model.stat().st_size / 1e6:.0f} MB) onto the volume"),
            model.open("rb") as file,
        ):
            self.kubectl.run(*self._loader(_RECEIVE, model.name), file=file)

    def _loader(self, program: str, *arguments: str) -> list[str]:
        return ["exec", "-i", "-n", NAMESPACE, "model-loader", "--", "python3", "-c", program, *arguments]

    def key(self, name: str = "default", namespace: str = NAMESPACE) -> str:
        """An API key of a tenant."""
        secret = self.kubectl.get("secret", names.key_secret(name), namespace)
        if not secret:
            raise LookupError(f"no Secret {names.key_secret(name)} in namespace {namespace}")
        return base64.b64decode(secret["data"]["key"]).decode()

    @contextmanager
    def router(self) -> Iterator[str]:
        """The base URL of the OpenAI API, forwarded to this machine while the context lasts."""
        with self.kubectl.port_forward("service/shimmy-router", 80, SYSTEM_NAMESPACE) as port:
            yield f"http://127.0.0.1:{port}/v1"

    def serve(self, model: Path) -> None:
        """Apply the demo's tenant, model and instance, and wait until the instance serves.

        Raises:
            NotReadyError: an object did not get Ready; the message carries its condition.
        """
        for kind, name, namespace, file in (
            ("shimmytenant", TENANT, "", "tenant.yaml"),
            ("shimmymodel", MODEL, NAMESPACE, "model.yaml"),
            ("shimmyinstance", INSTANCE, NAMESPACE, "instance.yaml"),
        ):
            if kind == "shimmymodel":
                self.fill_volume(model)
            self.apply_example(file)
            self.kubectl.wait_ready(kind, name, namespace, tell=say)
