"""The charts as Helm renders them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from devkit.paths import REPOSITORY

Manifest = dict[str, Any]

CHARTS: Final = REPOSITORY / "helm"
NAMESPACE: Final = "fleet"
"""Not the default one, so that a namespace written into a template shows."""


class HelmRefusedError(Exception):
    """Helm ended with an error; the message is its own."""


@dataclass(frozen=True, slots=True)
class Helm:
    """The program, and what the tests ask of it."""

    program: Path

    def run(self, *arguments: str) -> str:
        """What helm prints; raises HelmRefusedError where it fails."""
        done = subprocess.run([str(self.program), *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise HelmRefusedError(done.stdout + done.stderr)
        return done.stdout

    def render(self, *values: str, chart: str = "shimmy-operator") -> list[Manifest]:
        """The manifests with these `--set-json KEY=VALUE` values."""
        settings = [argument for value in values for argument in ("--set-json", value)]
        text = self.run("template", "shimmy", str(CHARTS / chart), "--namespace", NAMESPACE, *settings)
        return [document for document in yaml.safe_load_all(text) if document]


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one manifest of this kind and name."""
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def pod_specs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod spec of each Deployment, by name."""
    return {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests if m["kind"] == "Deployment"}


def containers(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Every container, init containers included, as `deployment/container`."""
    return {
        f"{name}/{container['name']}": container
        for name, pod in pod_specs(manifests).items()
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    }


def rules(manifests: list[Manifest]) -> list[Manifest]:
    """Every RBAC rule."""
    return [rule for m in manifests if m["kind"] in {"ClusterRole", "Role"} for rule in m["rules"]]
