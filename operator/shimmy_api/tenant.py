"""ShimmyTenant: one team as one object."""

from typing import Annotated

from pydantic import ConfigDict, Field

from shimmy_api.base import ApiModel
from shimmy_api.conditions import Conditions
from shimmy_api.fields import DnsLabel, Quantity, ResourceName, cel, list_map, validations


class Quota(ApiModel):
    """Upper bounds of what a tenant's namespace may request, as a ResourceQuota. What is absent is not bounded."""

    gpus: Annotated[int | None, Field(ge=0, le=100_000)] = None
    """Number of GPUs of `gpuResourceName`."""
    gpu_resource_name: ResourceName = "nvidia.com/gpu"
    """Extended resource that `gpus` counts."""
    cpu: Quantity | None = None
    """Requested CPU, in cores."""
    memory: Quantity | None = None
    """Requested memory."""
    storage: Quantity | None = None
    """Requested volume space."""
    pods: Annotated[int | None, Field(ge=0, le=100_000)] = None
    """Number of pods that have not ended."""


class ApiKey(ApiModel):
    """One API key of the tenant. The operator generates it into the Secret `shimmy-key-<name>`."""

    name: DnsLabel
    """Name of the key, unique in the tenant. Removing the entry revokes the key."""


class Egress(ApiModel):
    """Addresses that the tenant's fetch Jobs may reach, beside DNS."""

    cidr: Annotated[
        str,
        Field(
            max_length=43,
            json_schema_extra=validations(cel("isCIDR(self)", "must be a CIDR, such as 10.1.0.0/16")),
        ),
    ]
    """Block of addresses. Link-local addresses and the API server stay closed even inside it."""
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1, max_length=16)] = (443,)
    """TCP ports."""


class FetchPolicy(ApiModel):
    """Where this tenant's models may come from over the network."""

    egress: Annotated[tuple[Egress, ...], Field(max_length=32)] = ()
    """Allowed in addition to what the operator's own settings allow to everyone."""


class ShimmyTenantSpec(ApiModel):
    """What a team gets."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                # CEL reserves the word: https://kubernetes.io/docs/reference/using-api/cel/#escaping
                "has(self.__namespace__) == has(oldSelf.__namespace__)"
                " && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",
                "namespace is immutable; delete the tenant and create it anew to move it",
            )
        )
    )

    namespace: DnsLabel | None = None
    """Namespace of the tenant, made by the operator; `shimmy-<name>` if absent. Immutable.

    A namespace that already exists is taken over only if its label shimmy.dev/tenant names this tenant.
    """
    quota: Quota = Quota()
    """Upper bounds of what the tenant may request."""
    keys: Annotated[tuple[ApiKey, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = (
        ApiKey(name="default"),
    )
    """API keys with which the tenant's clients reach the router."""
    fetch: FetchPolicy = FetchPolicy()
    """Where models may be fetched from."""


class KeyStatus(ApiModel):
    """What may be known of one API key."""

    name: DnsLabel
    id: str
    """Public part of the key, as it appears in logs and in the usage journal."""
    secret_name: str
    """Secret in the tenant's namespace that holds the key under data.key."""


class ShimmyTenantStatus(ApiModel):
    """What the operator made."""

    observed_generation: int | None = None
    namespace: str | None = None
    keys: Annotated[tuple[KeyStatus, ...], Field(json_schema_extra=list_map("name"))] = ()
    conditions: Conditions = ()
