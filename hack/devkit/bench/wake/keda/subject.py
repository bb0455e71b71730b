"""KEDA's HTTP add-on, installed from the manifests in its own modules, before an echo server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from devkit.bench.wake import upstream
from devkit.bench.wake.echo import NAME, NAMESPACE, deployment, service
from devkit.bench.wake.keda.programs import ADD_ON_OPERATOR, CONTAINERS, OPERATOR, PATHS
from devkit.bench.wake.moments import Target
from devkit.bench.wake.subject import Request
from devkit.cluster import Cluster
from devkit.recipes import Recipe

_HOST: Final = "echo.example"
_PROXY: Final = "/api/v1/namespaces/keda/services/keda-add-ons-http-interceptor-proxy"
_PROXY_PORT: Final = 8080
_DROPPED: Final = {
    # Checks ScaledObjects when they are written, which nothing here does wrong.
    ("Deployment", "keda-admission"),
    ("ValidatingWebhookConfiguration", "keda-admission"),
    # Scales the interceptors; one is enough for one request.
    ("ScaledObject", "keda-add-ons-http-interceptor"),
}
FASTEST: Final = {"KEDA_HTTP_QUEUE_TICK_DURATION": "10ms", "KEDA_HTTP_SCALER_STREAM_INTERVAL_MS": "10"}
"""How often the scaler asks the interceptors (500 ms) and tells KEDA (200 ms): the only periods before the write."""


@dataclass(frozen=True, slots=True)
class Keda:
    """KEDA, with the environment of its add-on as shipped but for `environment`."""

    title: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """An echo server."""
        return Target(NAMESPACE, "deployments", NAME, {"app": NAME})

    def prepare(self) -> None:
        """Build all its programs."""
        upstream.build(PATHS)

    def start(self, cluster: Cluster) -> Request:
        """Install KEDA, then its add-on, which needs the other's kinds."""
        upstream.load(cluster, PATHS)
        for recipe in (OPERATOR, ADD_ON_OPERATOR):
            upstream.apply(cluster, self._manifests(cluster, recipe))
        upstream.apply(cluster, [deployment(), service(), _scaled()])
        address = cluster.client.json(_PROXY)["spec"]["clusterIP"]
        return Request(f"http://{address}:{_PROXY_PORT}/", {"host": _HOST})

    def _manifests(self, cluster: Cluster, recipe: Recipe) -> upstream.Objects:
        text = cluster.kubectl("kustomize", str(upstream.source(recipe) / "config" / "default"))
        images = {name: upstream.image(one) for name, one in CONTAINERS.items()}
        return upstream.adapted(yaml.safe_load_all(text), images, self.environment, _DROPPED)


def _scaled() -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME, "service": NAME, "port": 80}
    return {
        "apiVersion": "http.keda.sh/v1alpha1",
        "kind": "HTTPScaledObject",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "hosts": [_HOST],
            "scaleTargetRef": reference,
            "replicas": {"min": 0, "max": 1},
            "scaledownPeriod": 1,
        },
    }
