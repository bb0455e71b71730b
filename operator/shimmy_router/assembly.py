"""From records to the fleet. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shimmy_api import fallback, names
from shimmy_router.fleet import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT_SECONDS,
    Fallback,
    Hold,
    Key,
    Model,
    Pool,
    Substitute,
    Tenant,
    Token,
)
from shimmy_router.records import (
    Endpoint,
    InstanceRecord,
    IssuerRecord,
    KeysRecord,
    ModelRecord,
    Scaling,
    SliceRecord,
    TenantRecord,
)

_KEY_ID: Final = re.compile(rf"{names.KEY_PREFIX}-[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A model as its owner has it, before it is known who asks for it."""

    model: Model
    created: str
    fallback: fallback.Fallback | None
    """The rule of its instances."""
    all_tenants: bool
    tenants: frozenset[str]


def own_models(
    tenant: str,
    secret: KeysRecord | None,
    models: Sequence[ModelRecord],
    instances: Iterable[InstanceRecord],
    slices: Iterable[SliceRecord],
) -> tuple[OwnModel, ...]:
    """The models of one tenant from what its namespace holds."""
    serving: dict[str, list[InstanceRecord]] = defaultdict(list)
    for instance in sorted(instances, key=lambda i: (i.created, i.name)):
        for name in instance.models:
            serving[name].append(instance)
    pods: dict[str, list[SliceRecord]] = defaultdict(list)
    for piece in slices:
        pods[piece.model].append(piece)
    aliases = assign_aliases(models)
    return tuple(
        _own_model(tenant, secret, record, aliases[record.name], serving[record.name], pods[names.bounded(record.name)])
        for record in sorted(models, key=lambda m: m.name)
    )


def _own_model(
    tenant: str,
    secret: KeysRecord | None,
    record: ModelRecord,
    aliases: tuple[str, ...],
    instances: Sequence[InstanceRecord],
    slices: Sequence[SliceRecord],
) -> OwnModel:
    weights = {names.bounded(instance.name): instance.weight for instance in instances}
    endpoints = _usable(
        {
            replace(pod, weight=weights.get(piece.instance, 1), instance=piece.instance)
            for piece in slices
            for pod in piece.endpoints
        }
    )
    scaled = [instance.scaling for instance in instances if instance.scaling]
    ready = any(not pod.draining for pod in endpoints)
    first_bytes = [instance.first_byte_seconds for instance in instances]
    model = Model(
        name=record.name,
        owner=tenant,
        aliases=aliases,
        timeout_seconds=max((i.timeout_seconds for i in instances), default=DEFAULT_TIMEOUT_SECONDS),
        first_byte_seconds=None if None in first_bytes else max((s for s in first_bytes if s), default=None),
        retries=max((i.retries for i in instances), default=DEFAULT_RETRIES),
        ready=ready,
        endpoints=endpoints,
        engine_token=secret.engine_token if secret else "",
        offered=record.all_tenants or bool(record.shared_with),
        hold=_hold(record.name, scaled),
        asleep=bool(scaled) and (not ready or any(record.name in scaling.idle for scaling in scaled)),
        pools=tuple(_pool(record.name, instance) for instance in instances if instance.scaling),
        queue_depth=min((i.queue_depth for i in instances), default=0),
    )
    rule = next((instance.fallback for instance in instances if instance.fallback), None)
    return OwnModel(model, record.created, rule, record.all_tenants, frozenset(record.shared_with))


def _hold(model: str, scaled: Sequence[Scaling]) -> Hold | None:
    """The widest bounds of the instances that load decides on."""
    if not scaled:
        return None
    return Hold(
        seconds=max(scaling.hold_seconds for scaling in scaled),
        most=max(scaling.most_held for scaling in scaled),
        cold_seconds=scaled[0].cold_seconds.get(model, 0),
    )


def _pool(model: str, instance: InstanceRecord) -> Pool:
    deployment = names.slots(instance.name) if instance.shared else names.serving(instance.name, model)
    return Pool(instance.name, deployment, instance.shared)


def compile_tenant(
    record: TenantRecord,
    secret: KeysRecord | None,
    ambiguous: Callable[[str], bool],
    tokens: tuple[Token, ...],
    own: Sequence[OwnModel],
    offered: Iterable[OwnModel],
) -> Tenant:
    """One tenant from its own models and from those that others share with it.

    `ambiguous` tells whether several entries, of any tenants, hold a key.
    """
    visible = [*own, *_shared(own, offered)]
    models = tuple(replace(m.model, fallback=_fallback(record, m, visible)) for m in visible)
    return Tenant(
        name=record.name,
        namespace=record.namespace,
        keys=tuple(_keys(record, secret, ambiguous)),
        tokens=tokens,
        models=tuple(sorted(models, key=lambda m: m.name)),
        limits=record.limits,
        priority=record.priority,
        weight=record.weight,
    )


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


def _shared(own: Iterable[OwnModel], offered: Iterable[OwnModel]) -> list[OwnModel]:
    """What a tenant gets of the models that are offered to it.

    Its own names and aliases come first; of two shared models the older one has the name or the alias. One whose name
    is taken cannot be asked for at all.
    """
    taken = {name for item in own for name in (item.model.name, *item.model.aliases)}
    chosen: list[OwnModel] = []
    for item in sorted(offered, key=lambda o: (o.created, o.model.owner, o.model.name)):
        if item.model.name not in taken:
            taken.add(item.model.name)
            chosen.append(item)
    result = []
    for item in chosen:
        aliases = tuple(alias for alias in item.model.aliases if alias not in taken)
        taken.update(aliases)
        result.append(replace(item, model=replace(item.model, aliases=aliases, endpoints=(), shared=True)))
    return result


def _fallback(record: TenantRecord, item: OwnModel, visible: Sequence[OwnModel]) -> Fallback | None:
    """What stands in for a model. An instance names models of its own namespace, a tenant those that it can use."""
    if rule := item.fallback:
        candidates = {other.model.name: other.model for other in visible if other.model.owner == item.model.owner}
    elif rule := record.fallback:
        candidates = {other.model.name: other.model for other in visible}
    else:
        return None
    chain = [candidates[name] for name in rule.models if name in candidates and name != item.model.name]
    steps = (Substitute(model.name, model.cluster, model.ready, model.engine_token) for model in chain)
    return Fallback(tuple(steps), frozenset(rule.when)) if chain else None


def _keys(record: TenantRecord, secret: KeysRecord | None, ambiguous: Callable[[str], bool]) -> Iterator[Key]:
    """The keys that are both in the spec and in the Secret: removing the entry of either revokes the key."""
    for entry in record.keys:
        value = secret.keys.get(entry.name) if secret else None
        if not value or ambiguous(value) or not (public := _KEY_ID.match(value)):
            continue
        models = None if entry.models is None else frozenset(entry.models)
        yield Key(
            value, public[0], entry.name, entry.expiry.timestamp() if entry.expiry else None, models, entry.limits
        )


def own_tokens(record: TenantRecord, secret: KeysRecord | None, cluster: IssuerRecord | None) -> tuple[Token, ...]:
    """A tenant's tokens whose issuer's keys are known; `cluster` issues those of ServiceAccounts."""
    result = []
    for entry in record.tokens:
        jwks = secret.jwks.get(entry.name) if secret else None
        issuer = entry.issuer
        if issuer is None and cluster:
            issuer, jwks = cluster.issuer, cluster.jwks
        if not issuer or not jwks:
            continue
        models = None if entry.models is None else frozenset(entry.models)
        result.append(
            Token(
                entry.name, issuer, entry.audience, entry.claim, entry.values, jwks, models=models, limits=entry.limits
            )
        )
    return tuple(result)


def _usable(endpoints: set[Endpoint]) -> tuple[Endpoint, ...]:
    """Each address once. Two slices may hold one while they are being rewritten; then the pod that ends counts."""
    best: dict[tuple[str, int], Endpoint] = {}
    for pod in sorted(endpoints):
        place = (pod.address, pod.port)
        if place not in best or pod.draining:
            best[place] = pod
    return tuple(sorted(best.values()))
