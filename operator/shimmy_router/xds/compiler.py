"""The resources of all tenants."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from shimmy_router.fleet import Fleet, Tenant, Token
from shimmy_router.limits.tokens import Verdict
from shimmy_router.xds import tokens
from shimmy_router.xds.clusters import cluster
from shimmy_router.xds.endpoints import endpoints
from shimmy_router.xds.fallback import aggregate, chain_of
from shimmy_router.xds.resources import CLUSTER, ENDPOINTS, SCOPE, Place, Resource, Snapshot, Update
from shimmy_router.xds.routes import routes
from shimmy_router.xds.scopes import scopes
from shimmy_router.xds.tables import tables

_LAST: Final = frozenset({CLUSTER, ENDPOINTS})
"""Types that others refer to: they go only when all tenants have been compiled, since others' routes may name them."""


class Compiler:
    """Turns tenants into resources, one tenant at a time, and of each only those parts that differ from before."""

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}
        self._resources: dict[str, dict[Place, Resource]] = {}
        self._retired: dict[Place, None] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._scopes: dict[Place, str] = {}
        """Whose a scope is: a credential may go from one tenant to another."""
        self._tokens: dict[str, tuple[Token, ...]] = {}
        self._common = _placed(tokens.resources(()))

    def update(self, name: str, tenant: Tenant | None, verdict: Verdict | None = None) -> Update:
        """What changes when this tenant is so from now on, or is gone; what `retire` must do is left for it.

        With a verdict its requests are refused.
        """
        old = self._tenants.pop(name, None)
        before = self._resources.pop(name, {})
        same_verdict = self._verdicts.pop(name, None) == verdict
        after: dict[Place, Resource] = {}
        if tenant:
            after = _placed(_pods(tenant, old, before))
            if tenant.open and same_verdict and old and _without_pods(old) == _without_pods(tenant):
                after = {**before, **after}
            elif tenant.open:
                after |= _placed(_ways(tenant, verdict))
            self._tenants[name], self._resources[name] = tenant, after
            if verdict:
                self._verdicts[name] = verdict
        gone = {place for place in before.keys() - after.keys() if self._scopes.get(place, name) == name}
        for place in gone:
            self._scopes.pop(place, None)
        self._retired.update(dict.fromkeys(sorted(place for place in gone if place[0] in _LAST)))
        for place in after:
            self._retired.pop(place, None)
        put = [r for place, r in after.items() if place not in before or before[place].version != r.version]
        self._scopes.update({(r.type_url, r.name): name for r in put if r.type_url == SCOPE})
        put += self._common_update(name, tenant.tokens if tenant else ())
        return Update(tuple(put), tuple(sorted(place for place in gone if place[0] not in _LAST)))

    def retire(self) -> Update:
        """What may go now that all tenants that changed have been compiled."""
        retired, self._retired = self._retired, {}
        return Update((), tuple(retired))

    def snapshot(self) -> Snapshot:
        """All resources."""
        groups = [self._common, *self._resources.values()]
        return Snapshot(resource for group in groups for resource in group.values())

    def _common_update(self, name: str, new: tuple[Token, ...]) -> list[Resource]:
        """What differs of the resources that all tenants have together."""
        if self._tokens.pop(name, ()) == new and not new:
            return []
        if new:
            self._tokens[name] = new
        before = self._common
        self._common = _placed(tokens.resources(token for group in self._tokens.values() for token in group))
        return [resource for place, resource in self._common.items() if before[place].version != resource.version]


def compile_snapshot(fleet: Fleet) -> Snapshot:
    """The snapshot of a whole fleet."""
    compiler = Compiler()
    for tenant in fleet.tenants:
        compiler.update(tenant.name, tenant)
    return compiler.snapshot()


def _pods(tenant: Tenant, old: Tenant | None, before: dict[Place, Resource]) -> Iterator[Resource]:
    """Where the tenant's own models are; what cannot differ is taken from before."""
    known = {model.name: model for model in old.models if not model.shared} if old else {}
    for model in tenant.models:
        if not model.shared and (tenant.open or model.offered):
            was = known.get(model.name)
            same = was and (was.endpoints, was.engine_token) == (model.endpoints, model.engine_token)
            yield before.get((CLUSTER, model.cluster)) or cluster(model)
            yield (before.get((ENDPOINTS, model.cluster)) if same else None) or endpoints(model)


def _ways(tenant: Tenant, verdict: Verdict | None) -> Iterator[Resource]:
    """Who may come in, and how requests find the pods."""
    for table in tables(tenant):
        for model in table.models:
            if rule := chain_of(model):
                yield aggregate(tenant, model, rule)
        yield routes(tenant, table, verdict)
    yield from scopes(tenant)


def _without_pods(tenant: Tenant) -> Tenant:
    return replace(tenant, models=tuple(replace(model, endpoints=()) for model in tenant.models))


def _placed(resources: Iterable[Resource]) -> dict[Place, Resource]:
    return {(resource.type_url, resource.name): resource for resource in resources}
