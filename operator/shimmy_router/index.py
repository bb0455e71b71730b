"""The records of all objects, joined into tenants; a change is followed only to the tenants that it concerns.

No I/O and no clock.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from shimmy_api import names
from shimmy_router.assembly import OwnModel, compile_tenant, own_models, own_tokens
from shimmy_router.claims import TokenClaims
from shimmy_router.fleet import Fleet, Tenant, Token
from shimmy_router.groups import discard
from shimmy_router.records import (
    FleetRecord,
    InstanceRecord,
    IssuerRecord,
    KeysRecord,
    ModelRecord,
    ObjectKey,
    PeersRecord,
    Record,
    SliceRecord,
    TenantRecord,
)

_Spaced = ModelRecord | InstanceRecord | SliceRecord


class FleetIndex:
    """Takes records one by one, tells which tenants may have changed, and compiles one when it is asked to.

    A namespace that two tenants claim belongs to the older one. A key that two entries hold identifies neither.
    """

    def __init__(self, only: str | None = None) -> None:
        """`only`: the tenant of a router that serves one alone. The shared router leaves out those that have one."""
        self._only = only
        self._tenants: dict[str, TenantRecord] = {}
        self._claims: defaultdict[str, set[str]] = defaultdict(set)
        """Names of the tenants that claim a namespace."""
        self._labelled: defaultdict[str, set[str]] = defaultdict(set)
        """Names of the tenants whose name fits a label, which bounds it."""
        self._secrets: defaultdict[str, dict[ObjectKey, KeysRecord]] = defaultdict(dict)
        """By the label's value."""
        self._holders: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By key: how many entries hold it, by the label's value of their Secret."""
        self._spaces: defaultdict[str, dict[ObjectKey, _Spaced]] = defaultdict(dict)
        """What there is in each namespace. The kind is part of the key."""
        self._issuer: IssuerRecord | None = None
        self.tokens = TokenClaims(self._rank)
        self._own: dict[str, tuple[OwnModel, ...]] = {}
        self._offers: defaultdict[str, dict[str, OwnModel]] = defaultdict(dict)
        """By the tenant to which a model is offered, or _ALL: by the name of its cluster."""
        self._stale: dict[str, None] = {}
        """Tenants whose own models may have changed, in order."""
        self._views: dict[str, None] = {}
        """Tenants that may have changed in any way, in order."""

    def update(self, kind: str, key: ObjectKey, old: FleetRecord | None, new: FleetRecord | None) -> None:
        """Take what became of one object; None for one that is not there."""
        place = (f"{kind}/{key[0]}", key[1])
        if isinstance(old, TenantRecord) and not (isinstance(new, TenantRecord) and new.created == old.created):
            self._views.update(dict.fromkeys(sorted(self.tokens.put(old.name, ()))))  # while its age is known
        if old is not None:
            self._touch(old)
            self._forget(place, old)
        if new is not None:
            self._learn(place, new)
            self._touch(new)

    def refresh(self) -> list[str]:
        """The tenants that have to be compiled anew; those whose own models changed come first."""
        first = dict(self._stale)
        self._stale.clear()
        for name in first:
            self._views.update(dict.fromkeys(sorted(self.tokens.put(name, self._own_tokens(name)))))
            new = self._own_models(name)
            if new != (old := self._own.get(name, ())):
                self._views[name] = None
                self._offer(old, new)
                self._own[name] = new
            if not new:
                self._own.pop(name, None)
        result = [name for name in first if name in self._views] + [name for name in self._views if name not in first]
        self._views.clear()
        return result

    def tenant(self, name: str) -> Tenant | None:
        """One tenant as it is now; None if none of that name is served here, or an older one has its namespace."""
        record = self._served(name)
        if record is None:
            return None
        offered = {**self._offers.get(_ALL, {}), **self._offers.get(name, {})}
        visible = [model for model in offered.values() if model.model.owner != name]
        tokens = self.tokens.admitted(name)
        return compile_tenant(record, self._secret(name), self.is_ambiguous, tokens, self._own.get(name, ()), visible)

    def names(self) -> Iterable[str]:
        """Of all tenants."""
        return self._tenants.keys()

    def is_ambiguous(self, key: str) -> bool:
        """Whether several entries hold this key."""
        return key in self._holders and self._holders[key].total() > 1

    def _touch(self, record: FleetRecord) -> None:
        if isinstance(record, TenantRecord):
            for name in (record.name, *self._claims.get(record.namespace, ())):
                self._stale[name] = self._views[name] = None
        elif isinstance(record, KeysRecord):
            labels = {record.tenant, *(label for key in record.keys.values() for label in self._holders.get(key, ()))}
            for name in (name for label in labels for name in self._labelled.get(label, ())):
                self._stale[name] = self._views[name] = None
        elif isinstance(record, IssuerRecord):
            self._stale.update(dict.fromkeys(name for name, tenant in self._tenants.items() if tenant.tokens))
        elif owner := self._owner(record.namespace):
            self._stale[owner] = None

    def _learn(self, place: ObjectKey, record: FleetRecord) -> None:
        if isinstance(record, TenantRecord):
            self._tenants[record.name] = record
            self._claims[record.namespace].add(record.name)
            self._labelled[names.bounded(record.name)].add(record.name)
        elif isinstance(record, KeysRecord):
            self._secrets[record.tenant][place] = record
            for key in record.keys.values():
                self._holders[key][record.tenant] += 1
        elif isinstance(record, IssuerRecord):
            self._issuer = record
        else:
            self._spaces[record.namespace][place] = record

    def _forget(self, place: ObjectKey, record: FleetRecord) -> None:
        if isinstance(record, TenantRecord):
            del self._tenants[record.name]
            discard(self._claims, record.namespace, record.name)
            discard(self._labelled, names.bounded(record.name), record.name)
        elif isinstance(record, KeysRecord):
            del self._secrets[record.tenant][place]
            for key in record.keys.values():
                self._holders[key] -= Counter((record.tenant,))
                if not self._holders[key]:
                    del self._holders[key]
        elif isinstance(record, IssuerRecord):
            self._issuer = None
        else:
            del self._spaces[record.namespace][place]
            if not self._spaces[record.namespace]:
                del self._spaces[record.namespace]

    def _owner(self, namespace: str) -> str:
        """Name of the tenant that has the namespace; empty if there is none."""
        claims = (self._tenants[name] for name in self._claims.get(namespace, ()))
        owner = min(claims, key=lambda tenant: (tenant.created, tenant.name), default=None)
        return owner.name if owner else ""

    def _settled(self, name: str) -> TenantRecord | None:
        """A tenant that has its namespace."""
        record = self._tenants.get(name)
        return record if record and self._owner(record.namespace) == name else None

    def _served(self, name: str) -> TenantRecord | None:
        """A tenant that has its namespace, if this is its router."""
        record = self._settled(name)
        return record if record and (name if record.dedicated else None) == self._only else None

    def _secret(self, tenant: str) -> KeysRecord | None:
        found = self._secrets.get(names.bounded(tenant)) or {}
        return found[min(found)] if found else None

    def _own_models(self, tenant: str) -> tuple[OwnModel, ...]:
        record = self._served(tenant)
        if record is None:
            return ()
        found = self._spaces.get(record.namespace, {}).values()
        return own_models(
            tenant,
            self._secret(tenant),
            [item for item in found if isinstance(item, ModelRecord)],
            [item for item in found if isinstance(item, InstanceRecord)],
            [item for item in found if isinstance(item, SliceRecord)],
        )

    def _own_tokens(self, tenant: str) -> tuple[Token, ...]:
        record = self._settled(tenant)
        return own_tokens(record, self._secret(tenant), self._issuer) if record else ()

    def _rank(self, tenant: str) -> tuple[str, str]:
        """Age of a tenant. One that is gone is as young as can be: it is about to be forgotten."""
        record = self._tenants.get(tenant)
        return (record.created if record else _LATEST, tenant)

    def _offer(self, old: tuple[OwnModel, ...], new: tuple[OwnModel, ...]) -> None:
        """Offer a tenant's models as they are now, and note those whom the difference concerns."""
        before, after = dict(_offered(old)), dict(_offered(new))
        for place in before.keys() | after.keys():
            target, cluster = place
            if before.get(place) == after.get(place):
                continue
            if place in after:
                self._offers[target][cluster] = after[place]
            else:
                del self._offers[target][cluster]
                if not self._offers[target]:
                    del self._offers[target]
            concerned = self._tenants if target == _ALL else (target,)
            self._views.update(dict.fromkeys(concerned))


def compile_fleet(records: Iterable[Record], only: str | None = None) -> Fleet:
    """The fleet that these records describe, whatever their order; for `only` see FleetIndex."""
    index = FleetIndex(only)
    for number, record in enumerate(records):
        if not isinstance(record, PeersRecord):
            index.update(type(record).__name__, ("", str(number)), None, record)
    index.refresh()
    tenants = (index.tenant(name) for name in sorted(index.names()))
    return Fleet(tuple(tenant for tenant in tenants if tenant))


_LATEST: Final = "~"
"""Sorts behind every time."""
_ALL: Final = "*"
"""No tenant has this name."""


def _offered(models: Iterable[OwnModel]) -> Iterator[tuple[tuple[str, str], OwnModel]]:
    """Each offer, by whom it is for and the name of the cluster. Others need not know of each pod."""
    for item in models:
        offer = replace(item, model=replace(item.model, endpoints=()))
        for target in {_ALL} if item.all_tenants else item.tenants:
            yield (target, item.model.cluster), offer
