"""The Job that fetches or converts a model's file, or checks the one that is there."""

from typing import Any, Final

from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_operator.render.context import Context
from shimmy_operator.render.location import Location, locate, spec_digest
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata
from shimmy_operator.render.pod import MODELS, RESTRICTED_CONTAINER, render_pod_base
from shimmy_operator.render.steps import INPUTS, Step, render_steps

_KEPT_SECONDS: Final = 3600
_RETRIES: Final = 2


def render_job(tenant: str, namespace: str, owner: Owner, spec: ShimmyModelSpec, context: Context) -> Manifest:
    """A Job that reports what it found as its pod's termination message.

    Raises:
        ValueError: the model's source cannot be used.
    """
    digest, location = spec_digest(spec), locate(owner.name, spec)
    steps = render_steps(location, spec, context)
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
                    *(
                        {
                            "action": "FailJob",
                            "onExitCodes": {
                                "containerName": step.name,
                                "operator": "In",
                                "values": [names.FETCH_REFUSED],
                            },
                        }
                        for step in steps
                    ),
                ]
            },
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {"labels": found},
                "spec": _pod(location, steps, context),
            },
        },
    }


def _pod(location: Location, steps: list[Step], context: Context) -> dict[str, Any]:
    read_only = not location.own_volume
    claims = [claim for claim in location.claims if claim != location.claim_name]
    mounts: list[dict[str, Any]] = [
        {"name": "models", "mountPath": MODELS, "readOnly": read_only},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        *(
            {"name": f"input-{number}", "mountPath": f"{INPUTS}/{claim}", "readOnly": True}
            for number, claim in enumerate(claims)
        ),
    ]
    volumes = [
        {"name": "models", "persistentVolumeClaim": {"claimName": location.claim_name, "readOnly": read_only}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        *(
            {"name": f"input-{number}", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            for number, claim in enumerate(claims)
        ),
    ]
    volumes += {volume["name"]: volume for step in steps for volume in step.access.volumes}.values()
    first = [_container(step, mounts, context) for step in steps[:-1]]
    return {
        **render_pod_base(),
        "restartPolicy": "Never",
        **({"initContainers": first} if first else {}),
        "containers": [_container(steps[-1], mounts, context)],
        "volumes": volumes,
    }


def _container(step: Step, mounts: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    return {
        "name": step.name,
        "image": context.llama_image,
        "imagePullPolicy": context.image_pull_policy,
        "args": step.arguments,
        **({"env": step.access.environment} if step.access.environment else {}),
        "resources": step.resources,
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [*mounts, *step.access.mounts],
    }
