"""KubeAI, installed by the chart in its own module, with an echo server in place of vLLM."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from devkit.bench.wake import upstream
from devkit.bench.wake.echo import NAME, PORT
from devkit.bench.wake.moments import Target
from devkit.bench.wake.subject import Request
from devkit.binaries import ensure
from devkit.cluster import Cluster
from devkit.cluster.node.system_images import ECHO
from devkit.recipes import Recipe

_NAMESPACE: Final = "kubeai"
_MANAGER: Final = "/app/manager"
_RECIPE: Final = Recipe(
    "kubeai",
    "github.com/substratusai/kubeai/cmd",
    "kubeai",
    module="github.com/substratusai/kubeai",
    minutes=4,
)
_POD: Final = "/spec/containers/0"
_PATCHES: Final = (
    # vLLM's command and its port; its probes come every 2 s, and the echo server is ready as soon as it runs.
    {"op": "remove", "path": f"{_POD}/command"},
    {"op": "replace", "path": f"{_POD}/ports/0/containerPort", "value": PORT},
    {"op": "replace", "path": "/metadata/annotations/model-pod-port", "value": str(PORT)},
    *({"op": "remove", "path": f"{_POD}/{probe}Probe"} for probe in ("startup", "readiness", "liveness")),
    {"op": "add", "path": "/spec/terminationGracePeriodSeconds", "value": 1},
)
_VALUES: Final[Mapping[str, Any]] = {
    "open-webui": {"enabled": False},
    "image": {"repository": upstream.image(_RECIPE).rpartition(":")[0], "tag": "1", "pullPolicy": "Never"},
    "modelServers": {"VLLM": {"images": {"default": ECHO, "cpu": ECHO}}},
    "modelServerPods": {"securityContext": None, "jsonPatches": list(_PATCHES)},
    "resourceProfiles": {"cpu": {"requests": {"cpu": "10m", "memory": "16Mi"}}},
    # Back to zero soon; waking does not wait for this interval (10 s as shipped).
    "modelAutoscaling": {"interval": "1s", "timeWindow": "1s"},
}


@dataclass(frozen=True, slots=True)
class KubeAi:
    """KubeAI with one model."""

    title: str

    @property
    def target(self) -> Target:
        """The model; KubeAI makes its pods itself."""
        return Target(_NAMESPACE, "models", NAME, {"model": NAME})

    def prepare(self) -> None:
        """Build it."""
        upstream.build([_RECIPE])

    def start(self, cluster: Cluster) -> Request:
        """Install it, then a model."""
        upstream.load(cluster, {_RECIPE: _MANAGER})
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
        upstream.apply(cluster, [namespace])
        upstream.apply(cluster, _chart(), _NAMESPACE)
        upstream.apply(cluster, [_model()], _NAMESPACE)
        address = cluster.client.json(f"/api/v1/namespaces/{_NAMESPACE}/services/kubeai")["spec"]["clusterIP"]
        return Request(f"http://{address}/openai/v1/completions", body={"model": NAME, "prompt": "hello"})


def _chart() -> upstream.Objects:
    """The chart's manifests, without its dependency, a chat page that is switched off and would be downloaded."""
    with tempfile.TemporaryDirectory() as scratch:
        chart = Path(shutil.copytree(upstream.source(_RECIPE) / "charts" / "kubeai", Path(scratch) / "kubeai"))
        about = chart / "Chart.yaml"
        described = yaml.safe_load(about.read_text(encoding="utf-8"))
        # The module's files are read-only, and so are their copies.
        about.unlink()
        about.write_text(yaml.safe_dump(described | {"dependencies": []}), encoding="utf-8")
        command = [str(ensure("helm")), "template", "kubeai", str(chart), "--namespace", _NAMESPACE, "--values", "-"]
        text = subprocess.run(
            command, input=yaml.safe_dump(dict(_VALUES)), text=True, stdout=subprocess.PIPE, check=True
        )
    return [one for one in yaml.safe_load_all(text.stdout) if one]


def _model() -> dict[str, Any]:
    return {
        "apiVersion": "kubeai.org/v1",
        "kind": "Model",
        "metadata": {"name": NAME},
        "spec": {
            "url": "hf://example/echo",
            "engine": "VLLM",
            "features": ["TextGeneration"],
            "resourceProfile": "cpu:1",
            "minReplicas": 0,
            "maxReplicas": 1,
            "scaleDownDelaySeconds": 1,
        },
    }
