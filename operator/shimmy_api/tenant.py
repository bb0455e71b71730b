"""ShimmyTenant: one team as one object."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shimmy_api.access import AccessState, ApiKey, TenantLimits, TokenAccess
from shimmy_api.base import ApiModel
from shimmy_api.conditions import Conditions
from shimmy_api.fallback import Fallback
from shimmy_api.fields import DnsLabel, Quantity, ResourceName, cel, list_map, validations

Router = Literal["Shared", "Dedicated"]


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


class DiscoverySource(ApiModel):
    """A folder whose models become ShimmyModels."""

    name: DnsLabel
    """Name of the source, unique in the tenant; its models carry it as label shimmy.dev/discovered-by."""
    source: Annotated[
        str,
        Field(
            max_length=1024,
            pattern=r"^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^\s]+)?$",
            json_schema_extra=validations(
                cel(
                    "!(self + '/').contains('/../') && !(self + '/').contains('/./')"
                    " && !self.substring(6).contains('//')",
                    "a discovery source must not contain the path elements . and .., nor empty ones",
                )
            ),
        ),
    ]
    """`pvc://CLAIM/FOLDER` on a PersistentVolumeClaim of the tenant's namespace, or `pvc://CLAIM` for all of it."""
    personal: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(max_length=32)] = ()
    """Patterns of paths of personal models, relative to the folder, such as `alice/*`."""
    convert: bool = True
    """Whether Hugging Face folders and PEFT adapters become ShimmyModels: each of them is converted to a file on a
    volume of its own, within the tenant's quota."""
    sha256: bool = False
    """Whether to read GGUF files from end to end, so that a file that is replaced under its name is noticed."""


class DiscoverySchedule(ApiModel):
    """When to look again."""

    cron: Annotated[
        str,
        Field(
            max_length=128,
            pattern=r"^(@(hourly|daily|weekly|monthly)|[0-9A-Za-z*/,?-]+( [0-9A-Za-z*/,?-]+){4})$",
        ),
    ]
    """Minute, hour, day of month, month and day of week, as cron has them."""
    time_zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "Etc/UTC"
    """Name of the time zone, such as Europe/Berlin."""


class Discovery(ApiModel):
    """Models that are found by themselves."""

    sources: Annotated[
        tuple[DiscoverySource, ...], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))
    ]
    """Folders to look through. They are mounted read-only."""
    schedule: DiscoverySchedule | None = None
    """When to look again; every hour, at a minute that depends on the tenant, if absent."""
    retire: Literal["Delete", "Keep"] = "Delete"
    """What becomes of a ShimmyModel that discovery made when its file is gone: Delete, unless an instance serves it."""


class ShimmyTenantSpec(ApiModel):
    """What a team gets."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                # CEL reserves the word: https://kubernetes.io/docs/reference/using-api/cel/#escaping
                "has(self.__namespace__) == has(oldSelf.__namespace__)"
                " && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",
                "namespace is immutable; delete the tenant and create it anew to move it",
            ),
            cel(
                "self.keys.all(one, !has(one.secretName)"
                " || self.keys.exists_one(other, has(other.secretName) && other.secretName == one.secretName))",
                "two keys must not name one Secret",
            ),
            cel(
                "!has(self.tokens) || self.tokens.all(token, self.keys.all(key, key.name != token.name))",
                "a key and an entry of tokens must not have one name: both appear in logs and accounts",
            ),
            cel(
                # Spelt out: the API server estimates the cost of comparing optional values (`.?`) without bounds.
                "!has(self.tokens) || self.tokens.all(one, self.tokens.all(other,"
                " has(one.issuer) != has(other.issuer) || (has(one.issuer) && one.issuer != other.issuer)"
                " || (one.claim == other.claim"
                " && (!has(one.jwks) || !has(other.jwks) || one.jwks.key == other.jwks.key))))",
                "tokens of one issuer must have the same claim and jwks",
            ),
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
    tokens: Annotated[tuple[TokenAccess, ...], Field(max_length=16, json_schema_extra=list_map("name"))] = ()
    """Bearer tokens of ServiceAccounts and of OpenID Connect issuers, accepted beside the keys."""
    limits: TenantLimits = TenantLimits()
    """How much the tenant may ask, over all its keys and all routers together."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Where several tenants wait for one shared model, those of a higher priority come first."""
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """Where tenants of equal priority wait, the share of the engine's time that this one gets."""
    fallback: Fallback | None = None
    """What to do when a model cannot answer and its instance does not say."""
    router: Router = "Shared"
    """Who answers the tenant's clients: the fleet's router, or one of the tenant's own in its namespace and within its
    quota. Models are shared neither with a tenant that has its own nor by it. Clients must be told the new address when
    this changes: it is in the status."""
    fetch: FetchPolicy = FetchPolicy()
    """Where models may be fetched from."""
    discovery: Discovery | None = None
    """Models that are found by themselves; none if absent. Those that were found before stay when this is removed."""


class KeyStatus(ApiModel):
    """What may be known of one API key."""

    name: DnsLabel
    id: str | None = None
    """Public part of the key, as it appears in logs and in the usage journal; absent where there is no key."""
    secret_name: str
    """Secret in the tenant's namespace that holds the key under data.key."""
    state: AccessState = AccessState.ACTIVE
    """Whether it lets anybody in."""
    expires_at: str | None = None
    """From when on it is not accepted, as in the spec."""
    message: str = ""
    """What is the matter and what to do, empty if nothing is."""


class TokenStatus(ApiModel):
    """How one entry of `spec.tokens` is doing."""

    name: DnsLabel
    state: AccessState = AccessState.ACTIVE
    """Whether such tokens let anybody in."""
    keys: Annotated[int | None, Field(ge=0)] = None
    """Number of the issuer's public keys that tokens may be signed with; absent for the cluster's own tokens."""
    message: str = ""
    """What is the matter and what to do, empty if nothing is."""


class DiscoverySkip(ApiModel):
    """Something that became no ShimmyModel."""

    path: str
    reason: str
    message: str


class DiscoverySourceStatus(ApiModel):
    """What was found in one source."""

    name: DnsLabel
    last_run: str | None = None
    """When it was last looked through to the end, RFC 3339."""
    found: Annotated[int, Field(ge=0)] = 0
    """Models and adapters that were recognised."""
    models: Annotated[int, Field(ge=0)] = 0
    """ShimmyModels that discovery has made of them."""
    skipped: Annotated[int, Field(ge=0)] = 0
    """What became no ShimmyModel."""
    skips: tuple[DiscoverySkip, ...] = ()
    """The first of those, with the reason."""


class ShimmyTenantStatus(ApiModel):
    """What the operator made."""

    observed_generation: int | None = None
    namespace: str | None = None
    endpoint: str | None = None
    """Base URL of the OpenAI API for this tenant's clients."""
    keys: Annotated[tuple[KeyStatus, ...], Field(json_schema_extra=list_map("name"))] = ()
    tokens: Annotated[tuple[TokenStatus, ...], Field(json_schema_extra=list_map("name"))] = ()
    discovery: Annotated[tuple[DiscoverySourceStatus, ...], Field(json_schema_extra=list_map("name"))] = ()
    conditions: Conditions = ()
