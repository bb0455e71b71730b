"""Metadata that every child object carries."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from shimmy_api import names

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that a child is deleted with."""

    kind: str
    name: str
    uid: str


def labels(tenant: str, *, component: str | None = None, **more: str) -> dict[str, str]:
    """Labels of a child of `tenant`; `more` adds some by keyword: model, instance, keys, source, discovered_by."""
    found = {
        names.LABEL_PART_OF: names.PART_OF,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
        names.LABEL_TENANT: names.bounded(tenant),
    }
    if component:
        found[names.LABEL_COMPONENT] = component
    keys = {
        "model": names.LABEL_MODEL,
        "instance": names.LABEL_INSTANCE_OF,
        "keys": names.LABEL_KEYS,
        "source": names.LABEL_DISCOVERY_SOURCE,
        "discovered_by": names.LABEL_DISCOVERED_BY,
    }
    return found | {keys[key]: names.bounded(value) for key, value in more.items()}


def metadata(name: str, namespace: str | None, labels: dict[str, str], owner: Owner | None = None) -> Manifest:
    """Metadata of a child; it is deleted with its owner, if it has one."""
    found: Manifest = {"name": name, "labels": labels}
    if namespace is not None:
        found["namespace"] = namespace
    if owner is not None:
        found["ownerReferences"] = [
            {
                "apiVersion": names.API_VERSION,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ]
    return found


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with a digest of itself as an annotation.

    The annotation tells when a field is no longer rendered, which the fields that are rendered cannot tell.
    """
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    annotations = {**manifest["metadata"].get("annotations", {}), names.ANNOTATION_RENDERED: digest}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
