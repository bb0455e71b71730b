"""The kinds of objects that the operator handles, and where the API serves them."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from shimmy_api.kinds import KINDS
from shimmy_api.names import API_VERSION

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object; `api_version` as manifests name it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of a collection, an object or a subresource on the API server."""
        root = "/apis" if "/" in self.api_version else "/api"
        parts = [root, self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part is not None]
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Reference:
    """Names one object; `namespace` is None for cluster-scoped kinds."""

    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return "/".join(filter(None, (self.kind, self.namespace, self.name)))


_BUILT_IN: Final = (
    Resource("v1", "Namespace", "namespaces", namespaced=False),
    Resource("v1", "ResourceQuota", "resourcequotas", namespaced=True),
    Resource("v1", "ServiceAccount", "serviceaccounts", namespaced=True),
    Resource("v1", "Secret", "secrets", namespaced=True),
    Resource("v1", "ConfigMap", "configmaps", namespaced=True),
    Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True),
    Resource("v1", "Pod", "pods", namespaced=True),
    Resource("v1", "Service", "services", namespaced=True),
    Resource("apps/v1", "Deployment", "deployments", namespaced=True),
    Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", namespaced=True),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", namespaced=True),
    Resource("batch/v1", "Job", "jobs", namespaced=True),
    Resource("batch/v1", "CronJob", "cronjobs", namespaced=True),
    Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", namespaced=True),
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", namespaced=True),
    Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", namespaced=True),
    Resource("events.k8s.io/v1", "Event", "events", namespaced=True),
    Resource("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False),
)
RESOURCES: Final = {
    resource.kind: resource
    for resource in (
        *_BUILT_IN,
        *(Resource(API_VERSION, kind.kind, kind.plural, kind.scope == "Namespaced") for kind in KINDS),
    )
}


def reference(manifest: Manifest) -> Reference:
    """What names this object."""
    metadata = manifest["metadata"]
    return Reference(manifest["kind"], metadata.get("namespace"), metadata["name"])
