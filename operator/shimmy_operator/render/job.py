"""The Job that fetches a model's file, or checks the one that is there."""

from typing import Any, Final

from shimmy_api import names
from shimmy_api.model import Gguf, ShimmyModelSpec
from shimmy_operator.render.context import Context
from shimmy_operator.render.fetch_access import FetchAccess, fetch_access
from shimmy_operator.render.location import Location, locate, spec_digest
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata
from shimmy_operator.render.pod import MODELS, RESTRICTED_CONTAINER, render_pod_base

CONTAINER: Final = "fetch"
_KEPT_SECONDS: Final = 3600
_RETRIES: Final = 2


def render_job(tenant: str, namespace: str, owner: Owner, spec: ShimmyModelSpec, context: Context) -> Manifest:
    """A Job that reports what it found as its pod's termination message.

    Raises:
        ValueError: the model's source cannot be used.
    """
    digest = spec_digest(spec)
    found = labels(tenant, component=names.FETCH, model=owner.name)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **metadata(names.fetch_job(owner.name, digest), namespace, found, owner),
            "annotations": {names.ANNOTATION_SPEC_DIGEST: digest},
        },
        "spec": {
            "backoffLimit": _RETRIES,
            # A file that is wrong stays wrong: the verdict must not wait for two more tries.
            "podFailurePolicy": {
                "rules": [
                    # A drained node says nothing about the source; the next pod goes on where this one was.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [names.FETCH_REFUSED]},
                    },
                ]
            },
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {"labels": found},
                "spec": _pod(locate(owner.name, spec), spec.backend.gguf, context),
            },
        },
    }


def _pod(location: Location, gguf: Gguf, context: Context) -> dict[str, Any]:
    file = f"{MODELS}/{location.path}"
    command = ["fetch", location.url, file] if location.url else ["check", file]
    digest = ["--sha256", gguf.sha256] if gguf.sha256 else []
    read_only = location.url is None
    access = FetchAccess() if read_only else fetch_access(context.fetch_network, gguf.credentials_secret_name)
    return {
        **render_pod_base(),
        "restartPolicy": "Never",
        "containers": [
            {
                "name": CONTAINER,
                "image": context.llama_image,
                "imagePullPolicy": context.image_pull_policy,
                "args": [*command, *digest, *access.arguments],
                **({"env": access.environment} if access.environment else {}),
                "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
                "securityContext": RESTRICTED_CONTAINER,
                "volumeMounts": [
                    {"name": "models", "mountPath": MODELS, "readOnly": read_only},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
                    *access.mounts,
                ],
            }
        ],
        "volumes": [
            {
                "name": "models",
                "persistentVolumeClaim": {"claimName": location.claim_name, "readOnly": read_only},
            },
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *access.volumes,
        ],
    }
