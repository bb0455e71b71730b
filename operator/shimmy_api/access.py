"""Who may come in as a tenant, to which models, and how much they may ask."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from shimmy_api.base import ApiModel
from shimmy_api.fields import DnsLabel, DnsSubdomain, cel, list_set, validations

Models = Annotated[tuple[DnsSubdomain, ...], Field(min_length=1, max_length=64, json_schema_extra=list_set())]

_CLAIM_NAME: Final = r"^[A-Za-z0-9_:/.-]+$"
_INSTANT: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339, section 5.6, in capitals; that there is such a day is for the format date-time to check."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


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
    held: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    """Requests that one router holds at a time until pods of this tenant's models are ready; the next one gets 503 with
    Retry-After. Each ShimmyInstance has a bound of its own beside it."""


class ApiKey(ApiModel):
    """One API key of the tenant. The operator generates it into the Secret `shimmy-key-<name>`."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.secretName) || !self.secretName.startsWith('shimmy-')",
                "secretName must not name a Secret of the operator's own: shimmy-…",
            )
        )
    )

    name: DnsLabel
    """Name of the key, unique in the tenant. Removing the entry revokes the key."""
    secret_name: DnsSubdomain | None = None
    """Secret of the tenant's namespace that holds the key under data.key, instead of a generated one. It must have the
    form of a generated key, sk-shimmy-ID-SECRET, and the Secret the label app.kubernetes.io/part-of=shimmy. It is never
    changed."""
    expires_at: Annotated[
        str | None, Field(max_length=35, pattern=_INSTANT, json_schema_extra={"format": "date-time"})
    ] = None
    """From when on the key is not accepted, RFC 3339; it always is if absent."""
    models: Models | None = None
    """Names of the models that may be asked for with it; all of the tenant's if absent."""
    limits: RequestLimits = RequestLimits()
    """Upper bounds of this key, beside the tenant's."""

    @property
    def expiry(self) -> datetime | None:
        """When the key ends; None if it never does. What is no time at all is over."""
        if self.expires_at is None:
            return None
        try:
            found = datetime.fromisoformat(self.expires_at)
            return found.astimezone(UTC) if found.tzinfo is not None else _LONG_AGO
        except (ValueError, OverflowError):
            return _LONG_AGO


class AccessState(StrEnum):
    """Whether a credential lets anybody in."""

    ACTIVE = "Active"
    EXPIRED = "Expired"
    """Its time is over."""
    MISSING = "Missing"
    """What it names is not there."""
    INVALID = "Invalid"
    """What it names is there and is of no use."""
    REFUSED = "Refused"
    """It contradicts another one, and would not tell whose the request is."""


class Jwks(ApiModel):
    """An issuer's public keys, which a cluster's administrator keeps in one ConfigMap for all tenants.

    They decide whose a token is, so that nobody who may write in one tenant's namespace may write them.
    """

    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "jwks.json"
    """Entry of the ConfigMap `shimmy-jwks` in the router's namespace that holds a JSON Web Key Set (RFC 7517)."""


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
