"""The whole fleet's resources."""

from collections.abc import Iterator

from shimmy_router.fleet import Fleet, Tenant
from shimmy_router.xds.clusters import cluster, endpoints
from shimmy_router.xds.fallback import aggregate, chain_of
from shimmy_router.xds.resources import Resource, Snapshot
from shimmy_router.xds.routes import routes
from shimmy_router.xds.scopes import scopes


class Compiler:
    """Compiles fleets one after another, and only those tenants anew that differ from the fleet before."""

    def __init__(self) -> None:
        self._known: dict[Tenant, tuple[Resource, ...]] = {}

    def compile(self, fleet: Fleet) -> Snapshot:
        """The snapshot of this fleet; the same as a new compiler would make."""
        self._known = {t: self._known.get(t) or tuple(tenant_resources(t)) for t in fleet.tenants}
        return Snapshot.of(resource for group in self._known.values() for resource in group)


def tenant_resources(tenant: Tenant) -> Iterator[Resource]:
    """The resources of one tenant. What nobody could use is left out."""
    for model in tenant.models:
        if not model.shared and (tenant.open or model.offered):
            yield cluster(model)
            yield endpoints(model)
    for model in tenant.models:
        if tenant.open and (rule := chain_of(model)):
            yield aggregate(tenant, model, rule)
    if tenant.open:
        yield routes(tenant)
        yield from scopes(tenant)
