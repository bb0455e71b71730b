"""The fleet as the router sees it: who may come in, and where their requests go. Pure data."""

from dataclasses import dataclass, field
from typing import Final

from shimmy_api.access import RequestLimits, TenantLimits
from shimmy_api.fallback import Trigger
from shimmy_api.instance import Routing
from shimmy_router.records import NO_LIMITS, NO_TENANT_LIMITS, Endpoint

DEFAULT_TIMEOUT_SECONDS: Final[int] = Routing().timeout_seconds
DEFAULT_RETRIES: Final[int] = Routing().retries


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that is accepted."""

    value: str = field(repr=False)
    id: str
    """Its public part, sk-shimmy-xxxxxxxx, which may be logged."""
    name: str
    """Its entry in the tenant's spec."""
    expires: float | None = None
    """Seconds since the epoch; None for never."""
    models: frozenset[str] | None = None
    """Names of the models that may be asked for with it; None for all of the tenant's."""
    limits: RequestLimits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Token:
    """Bearer tokens (JWT) that are accepted."""

    name: str
    """Entry in the tenant's spec; stands where the id of a key stands otherwise."""
    issuer: str
    audience: str
    claim: str
    values: tuple[str, ...]
    """Values of the claim that belong to the tenant."""
    jwks: str = field(repr=False)
    """The issuer's public keys, RFC 7517."""
    models: frozenset[str] | None = None
    """Names of the models that may be asked for with one; None for all of the tenant's."""
    limits: RequestLimits = NO_LIMITS

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom such tokens are about, one for each value, as lua/token.lua says it."""
        return tuple(self.subject(value) for value in self.values)

    def subject(self, value: str) -> str:
        """Whom a token with this value is about. Neither an issuer nor an audience contains a blank."""
        return f"{self.issuer} {self.audience} {value}"


@dataclass(frozen=True, slots=True)
class Substitute:
    """A model that stands in for another one."""

    model: str
    cluster: str
    ready: bool
    """Whether a pod of it takes requests."""
    engine_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fallback:
    """What to do when a model cannot answer."""

    chain: tuple[Substitute, ...]
    """In the order in which they are tried: only models that the tenant can use, and never the model itself."""
    when: frozenset[Trigger]


@dataclass(frozen=True, slots=True)
class Pool:
    """The pods of an instance that serve a model, and that load decides on."""

    instance: str
    deployment: str
    """Its name, in the namespace of the model."""
    shared: bool = False
    """Whether they serve the instance's other models too."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What becomes of requests for a model that may have no pod."""

    seconds: int
    """Longest time that one is held."""
    most: int
    """That one router holds."""
    cold_seconds: int = 0
    """How long it takes to start, nineteen times of twenty; 0 if that is not known."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a tenant's keys can ask for: the tenant's own, or one that another tenant shares with it."""

    name: str
    owner: str
    """Name of the tenant whose pods serve it."""
    aliases: tuple[str, ...] = ()
    """Under which this tenant can ask for it, those that another of its models has excluded."""
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    """The longest of all instances that serve it: they share one cluster."""
    first_byte_seconds: int | None = None
    """Longest time until the answer begins, the longest of all instances; None where one of them sets no bound."""
    retries: int = DEFAULT_RETRIES
    """The most of all instances."""
    ready: bool = False
    """Whether a pod takes requests."""
    endpoints: tuple[Endpoint, ...] = ()
    """Its pods, each with the weight of its instance. Empty where it is shared: its owner's model has them."""
    fallback: Fallback | None = None
    """Of the oldest instance that says so, else of the tenant that asks."""
    engine_token: str = field(default="", repr=False)
    """What the owner's engines want to see."""
    shared: bool = False
    """Whether it belongs to another tenant than the one that can ask for it here."""
    offered: bool = False
    """Whether the owner shares it with others."""
    hold: Hold | None = None
    """None where load does not decide on its pods."""
    asleep: bool = False
    """Whether the agent is asked before each request: load decides on its pods, and there is none that will stay."""
    pools: tuple[Pool, ...] = ()
    """Where load decides on its pods, the oldest instance first."""
    queue_depth: int = 0
    """Requests that may wait in each of its pods while one runs, the least of all instances."""

    @property
    def cluster(self) -> str:
        """Name of the cluster of its pods, the same for all who can ask for it."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant: who may come in, and to which models."""

    name: str
    namespace: str
    keys: tuple[Key, ...] = ()
    tokens: tuple[Token, ...] = ()
    models: tuple[Model, ...] = ()
    """Its own and those that are shared with it, sorted by name."""
    limits: TenantLimits = NO_TENANT_LIMITS
    priority: int = 0
    weight: int = 1

    @property
    def open(self) -> bool:
        """Whether anybody can come in."""
        return bool(self.keys or self.tokens)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All tenants, by name. What is not in here is not allowed."""

    tenants: tuple[Tenant, ...] = ()
