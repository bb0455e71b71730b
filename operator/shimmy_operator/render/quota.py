"""The tenant's ResourceQuota."""

from shimmy_api.tenant import Quota
from shimmy_operator.render.metadata import Manifest, labels, metadata

NAME = "shimmy-quota"


def gpu_bound(quota: Quota) -> str:
    """Name of the bound on GPUs."""
    return f"requests.{quota.gpu_resource_name}"


def render_quota(tenant: str, namespace: str, quota: Quota) -> Manifest:
    """Upper bounds of the namespace; with no bound at all the quota only counts pods."""
    hard = {
        gpu_bound(quota): quota.gpus,
        "requests.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "requests.storage": quota.storage,
        "pods": quota.pods,
    }
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(NAME, namespace, labels(tenant)),
        "spec": {"hard": {name: str(bound) for name, bound in hard.items() if bound is not None}},
    }
