"""Field types that several objects share, with the schema that the API server holds users to."""

from typing import Annotated, Any

from pydantic import Field


def cel(rule: str, message: str) -> dict[str, Any]:
    """One CEL validation rule, as an entry of x-kubernetes-validations."""
    return {"rule": rule, "message": message}


def validations(*rules: dict[str, Any]) -> dict[str, Any]:
    """JSON schema extra that puts CEL rules on a field or an object."""
    return {"x-kubernetes-validations": list(rules)}


DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
DnsSubdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i|[MGTPE])?$")]
"""A non-negative Kubernetes resource quantity, as a string."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ResourceName = Annotated[str, Field(min_length=3, max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")]
"""Name of an extended resource, such as nvidia.com/gpu."""
GroupId = Annotated[int, Field(ge=1, le=2_147_483_647)]
"""Numeric id of a group other than root's."""
ModelAlias = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
"""What clients may send as `model`, such as gpt-4o-mini or meta-llama/Llama-3.2-1B."""


def list_set() -> dict[str, Any]:
    """JSON schema extra of a list whose items are unique and merge one by one."""
    return {"x-kubernetes-list-type": "set"}


def list_map(key: str) -> dict[str, Any]:
    """JSON schema extra of a list of objects that merge by one field."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
