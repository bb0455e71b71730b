"""The fleet as the router sees it, put together from records. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from shimmy_api import names
from shimmy_api.instance import Routing
from shimmy_router.records import (
    Endpoint,
    InstanceRecord,
    KeysRecord,
    ModelRecord,
    Record,
    SliceRecord,
    TenantRecord,
)

DEFAULT_TIMEOUT_SECONDS: Final[int] = Routing().timeout_seconds

R = TypeVar("R", TenantRecord, KeysRecord, ModelRecord, InstanceRecord, SliceRecord)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a tenant's keys can ask for."""

    name: str
    aliases: tuple[str, ...]
    """The aliases that it has, those that an older model of the tenant claims excluded."""
    timeout_seconds: int
    """The longest of all instances that serve it: they share one cluster."""
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant: who may come in, and to which models."""

    name: str
    namespace: str
    keys: tuple[str, ...] = field(repr=False)
    engine_token: str = field(repr=False)
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All tenants, by name. What is not in here is not allowed."""

    tenants: tuple[Tenant, ...] = ()


def compile_fleet(records: Iterable[Record]) -> Fleet:
    """The fleet that these records describe, whatever their order.

    A namespace that two tenants claim belongs to the older one. A key that two tenants hold identifies neither.
    """
    pool = list(records)
    secrets = {record.tenant: record for record in _of(KeysRecord, pool)}
    uses = Counter(key for record in secrets.values() for key in record.keys)
    models = _models(pool)
    tenants = []
    claimed: set[str] = set()
    for record in sorted(_of(TenantRecord, pool), key=lambda t: (t.created, t.name)):
        if record.namespace in claimed:
            continue
        claimed.add(record.namespace)
        secret = secrets.get(names.bounded(record.name))
        tenants.append(
            Tenant(
                name=record.name,
                namespace=record.namespace,
                keys=tuple(key for key in secret.keys if uses[key] == 1) if secret else (),
                engine_token=secret.engine_token if secret else "",
                models=models.get(record.namespace, ()),
            )
        )
    return Fleet(tuple(sorted(tenants, key=lambda t: t.name)))


def assign_aliases(models: Iterable[ModelRecord]) -> dict[str, tuple[str, ...]]:
    """The aliases that each model of one namespace has, by the model's name.

    A model's own name is always its own. Of several models that claim an alias the oldest has it; equally old ones
    are ordered by name.
    """
    pool = sorted(models, key=lambda m: (m.created, m.name))
    taken = {model.name for model in pool}
    result = {}
    for model in pool:
        won = tuple(alias for alias in dict.fromkeys(model.aliases) if alias not in taken)
        taken.update(won)
        result[model.name] = won
    return result


def _models(pool: list[Record]) -> Mapping[str, tuple[Model, ...]]:
    """The models of each namespace, sorted by name."""
    by_namespace: dict[str, list[ModelRecord]] = defaultdict(list)
    for model in _of(ModelRecord, pool):
        by_namespace[model.namespace].append(model)
    timeouts: dict[tuple[str, str], int] = {}
    for instance in _of(InstanceRecord, pool):
        for name in instance.models:
            place = (instance.namespace, name)
            timeouts[place] = max(timeouts.get(place, 0), instance.timeout_seconds)
    endpoints: dict[tuple[str, str], set[Endpoint]] = defaultdict(set)
    for piece in _of(SliceRecord, pool):
        endpoints[piece.namespace, piece.model].update(piece.endpoints)

    result = {}
    for namespace, records in by_namespace.items():
        aliases = assign_aliases(records)
        result[namespace] = tuple(
            Model(
                name=record.name,
                aliases=aliases[record.name],
                timeout_seconds=timeouts.get((namespace, record.name), DEFAULT_TIMEOUT_SECONDS),
                endpoints=_usable(endpoints.get((namespace, names.bounded(record.name)), set())),
            )
            for record in sorted(records, key=lambda m: m.name)
        )
    return result


def _usable(endpoints: set[Endpoint]) -> tuple[Endpoint, ...]:
    """Each address once. Two slices may hold one while they are being rewritten; then the pod that ends counts."""
    leaving = {(e.address, e.port) for e in endpoints if e.draining}
    return tuple(sorted(e for e in endpoints if e.draining or (e.address, e.port) not in leaving))


def _of(kind: type[R], pool: list[Record]) -> list[R]:
    return [record for record in pool if isinstance(record, kind)]
