"""What looks through a tenant's folders for models, and hands over what it found."""

import hashlib
from ipaddress import ip_network
from typing import Any, Final

from shimmy_api import names
from shimmy_api.tenant import Discovery, DiscoverySource
from shimmy_operator.render.context import Context
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata
from shimmy_operator.render.pod import MODELS, RESTRICTED_CONTAINER, render_pod_base

CONTAINER: Final = "discover"
_KEPT_SECONDS: Final = 3600
_LONGEST_SECONDS: Final = 6 * 3600
_LATEST_START_SECONDS: Final = 1800
"""Without a bound, a CronJob that missed 100 starts never starts again.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#job-creation
"""
_RETRIES: Final = 2
_NAME: Final = names.DISCOVERY_ACCESS


def revision_of(source: DiscoverySource) -> str:
    """Digest of what decides what is found: a report of another revision says nothing about this source."""
    return hashlib.sha256(source.model_dump_json().encode()).hexdigest()[:16]


def split_source(source: DiscoverySource) -> tuple[str, str]:
    """Name of the claim, and the folder on it; empty for all of it."""
    claim, _, folder = source.source.removeprefix("pvc://").partition("/")
    return claim, folder.rstrip("/")


def render_account(tenant: str, namespace: str) -> Manifest:
    """The account of discovery pods. Only they mount its token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(_NAME, namespace, labels(tenant)),
        "automountServiceAccountToken": False,
    }


def render_binding(tenant: str, namespace: str, owner: Owner) -> Manifest:
    """What the account may do, in this namespace alone: patch the one ConfigMap."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(_NAME, namespace, labels(tenant), owner),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAME},
        "subjects": [{"kind": "ServiceAccount", "name": _NAME, "namespace": namespace}],
    }


def render_config_map(tenant: str, namespace: str, owner: Owner) -> Manifest:
    """Where pods put what they found: one entry per source, which is theirs and not rendered."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(_NAME, namespace, labels(tenant), owner),
    }


def render_policy(tenant: str, namespace: str, context: Context, *, wanted: bool) -> Manifest:
    """The way of discovery pods to the API server; to nowhere where discovery is not wanted (any more)."""
    peers = [{"ipBlock": {"cidr": str(ip_network(address))}} for address in context.api_server_addresses]
    ports = [{"protocol": "TCP", "port": port} for port in context.api_server_ports]
    selector = {names.LABEL_PART_OF: names.PART_OF, names.LABEL_COMPONENT: names.DISCOVERY}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(_NAME, namespace, labels(tenant)),
        "spec": {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Egress"],
            "egress": [{"to": peers, "ports": ports}] if wanted and peers else [],
        },
    }


def render_job(tenant: str, namespace: str, owner: Owner, source: DiscoverySource, context: Context) -> Manifest:
    """A Job that looks through a source at once."""
    found = labels(tenant, component=names.DISCOVERY, source=source.name)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(names.discovery_job(source.name, revision_of(source)), namespace, found, owner),
        "spec": _job(found, source, context),
    }


def render_schedule(
    tenant: str, namespace: str, owner: Owner, discovery: Discovery, source: DiscoverySource, context: Context
) -> Manifest:
    """A CronJob that looks through it again and again."""
    found = labels(tenant, component=names.DISCOVERY, source=source.name)
    schedule = discovery.schedule
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata(names.discovery_schedule(source.name), namespace, found, owner),
        "spec": {
            "schedule": schedule.cron if schedule else _hourly(tenant),
            "timeZone": schedule.time_zone if schedule else "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATEST_START_SECONDS,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {"labels": found}, "spec": _job(found, source, context)},
        },
    }


def _hourly(tenant: str) -> str:
    """Every hour; at a minute of the tenant's own, as a cluster with many tenants should not start all at once."""
    return f"{int(hashlib.sha256(tenant.encode()).hexdigest(), 16) % 60} * * * *"


def _job(found: dict[str, str], source: DiscoverySource, context: Context) -> dict[str, Any]:
    return {
        "backoffLimit": _RETRIES,
        "activeDeadlineSeconds": _LONGEST_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [names.FETCH_REFUSED]},
                }
            ]
        },
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "template": {"metadata": {"labels": found}, "spec": _pod(source, context)},
    }


def _pod(source: DiscoverySource, context: Context) -> dict[str, Any]:
    claim, folder = split_source(source)
    return {
        **render_pod_base(),
        "serviceAccountName": _NAME,
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "containers": [
            {
                "name": CONTAINER,
                "image": context.llama_image,
                "imagePullPolicy": context.image_pull_policy,
                "args": _arguments(source, claim, folder),
                "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
                "securityContext": RESTRICTED_CONTAINER,
                "volumeMounts": [
                    {"name": "models", "mountPath": MODELS, "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
                ],
            }
        ],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


def _arguments(source: DiscoverySource, claim: str, folder: str) -> list[str]:
    return [
        "discover",
        f"{MODELS}/{folder}" if folder else MODELS,
        f"--claim={claim}",
        f"--mount={MODELS}",
        f"--config-map={_NAME}",
        f"--key={source.name}",
        f"--revision={revision_of(source)}",
        *(f"--personal={pattern}" for pattern in source.personal),
        *(["--sha256"] if source.sha256 else []),
    ]
