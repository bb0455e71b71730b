"""Who may come in as a tenant, to which models, and how much they may ask."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from shimmy_api.base import ApiModel
from shimmy_api.fields import DnsLabel, DnsSubdomain, cel, list_set, validations

Models = Annotated[tuple[DnsSubdomain, ...], Field(min_length=1, max_length=64, json_schema_extra=list_set())]

_CLAIM_NAME: Final = r"^[A-Za-z0-9_:/.-]+$"


class RequestLimits(ApiModel):
    """Upper bounds over all routers together. What is absent is not bounded."""

    requests_per_minute: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    """Requests in any sixty seconds; the next one gets 429 with Retry-After."""
    concurrent: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Requests that may be waiting or answered at a time; the next one gets 429."""


class TenantLimits(RequestLimits):
    """Upper bounds of a tenant, over all its keys together."""

    tokens_per_minute: Annotated[int | None, Field(ge=1, le=10_000_000_000)] = None
    """Tokens of prompts and answers in any sixty seconds. They are known when an answer ends, so that requests that run
    already may go beyond; the next one gets 429 with Retry-After."""


class ApiKey(ApiModel):
    """One API key of the tenant. The operator generates it into the Secret `shimmy-key-<name>`."""

    name: DnsLabel
    """Name of the key, unique in the tenant. Removing the entry revokes the key."""
    secret_name: DnsSubdomain | None = None
    """Secret of the tenant's namespace that holds the key under data.key, instead of a generated one. It must have the
    form of a generated key: sk-shimmy-ID-SECRET."""
    expires_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    """When the key ends to be accepted, RFC 3339; never if absent."""
    models: Models | None = None
    """Names of the models that may be asked for with it; all of the tenant's if absent."""
    limits: RequestLimits = RequestLimits()
    """Upper bounds of this key, beside the tenant's."""


class Jwks(ApiModel):
    """An issuer's public keys."""

    config_map_name: DnsSubdomain
    """ConfigMap of the tenant's namespace."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "jwks.json"
    """Entry that holds a JSON Web Key Set (RFC 7517)."""


class TokenAccess(ApiModel):
    """Bearer tokens (JWT, RFC 7519) that are accepted beside API keys.

    Without `issuer` they are tokens of the cluster's ServiceAccounts, whose `sub` is
    `system:serviceaccount:NAMESPACE:NAME`.
    """

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.issuer) == has(self.jwks)",
                "issuer and jwks go together: without both, tokens are the cluster's own",
            )
        )
    )

    name: DnsLabel
    """Unique in the tenant; stands in logs and accounts where the id of a key stands otherwise."""
    issuer: Annotated[str | None, Field(min_length=1, max_length=512, pattern=r"^https?://[^\s]+$")] = None
    """Claim `iss`; the cluster itself if absent."""
    jwks: Jwks | None = None
    """Where the issuer's keys are: nothing is fetched over the network."""
    audience: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s]+$")]
    """Claim `aud`; a token for several audiences is refused."""
    claim: Annotated[str, Field(min_length=1, max_length=128, pattern=_CLAIM_NAME)] = "sub"
    """Claim that tells who it is: text, at the top level of the token."""
    values: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=512)], ...],
        Field(min_length=1, max_length=64, json_schema_extra=list_set()),
    ]
    """Values of the claim that belong to this tenant."""
    models: Models | None = None
    """Names of the models that may be asked for with such a token; all of the tenant's if absent."""
    limits: RequestLimits = RequestLimits()
    """Upper bounds of all these tokens together, beside the tenant's."""
