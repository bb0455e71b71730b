"""The tenant's namespace."""

from shimmy_api import names
from shimmy_operator.render.metadata import Manifest, labels, metadata

POD_SECURITY = "pod-security.kubernetes.io"


def namespace_of(tenant: Manifest) -> str:
    """Name of a tenant's namespace."""
    return str(tenant["spec"].get("namespace") or names.tenant_namespace(tenant["metadata"]["name"]))


def render_namespace(tenant: str, namespace: str) -> Manifest:
    """A namespace in which Pod Security admits only pods of the profile `restricted`.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    pod_security = {
        f"{POD_SECURITY}/{mode}{part}": value
        for mode in ("enforce", "audit", "warn")
        for part, value in (("", "restricted"), ("-version", "latest"))
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata(namespace, None, labels(tenant) | pod_security),
    }


def belongs_to(namespace: Manifest, tenant: str) -> bool:
    """Whether an existing namespace is this tenant's: its label says so."""
    found = namespace["metadata"].get("labels") or {}
    return bool(found.get(names.LABEL_TENANT) == names.bounded(tenant))
