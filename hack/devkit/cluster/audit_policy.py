"""What the API server writes to its audit log: enough to tell which requests changed which resourceVersion."""

from typing import Any, Final

_CHANGING: Final = ["create", "update", "patch", "delete", "deletecollection"]

POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        # Neither Secrets nor tokens may be written to a log.
        {
            "level": "Metadata",
            "resources": [
                {"group": "", "resources": ["secrets", "serviceaccounts/token"]},
                {"group": "authentication.k8s.io"},
            ],
        },
        # Bodies of requests that may change an object: its uid and resourceVersion are in the answer.
        {"level": "RequestResponse", "verbs": _CHANGING},
        {"level": "RequestResponse", "verbs": ["get"], "resources": [{"group": "shimmy.dev"}]},
        {"level": "Metadata"},
    ],
}
