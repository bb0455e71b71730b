"""By which routes a model can be asked for, and whether all of them ask the agent first. Pure."""

from collections import defaultdict
from collections.abc import Callable

from shimmy_router.fleet import Tenant
from shimmy_router.xds.tables import tables


class Ways:
    """Of the models on whose pods load decides."""

    def __init__(self) -> None:
        self._asking: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
        """Names of the tables that lead to a cluster by way of the agent, by the tenant whose they are."""
        self._direct: defaultdict[str, set[str]] = defaultdict(set)
        """Tenants whose tables lead there past the agent."""
        self._seen: dict[str, set[str]] = {}
        """Clusters that a tenant's tables lead to."""

    def follow(self, name: str, tenant: Tenant | None) -> None:
        """The tenant is so from now on, or is gone."""
        for cluster in self._seen.pop(name, ()):
            self._asking[cluster].pop(name, None)
            self._direct[cluster].discard(name)
            for known in (self._asking, self._direct):
                if not known[cluster]:
                    del known[cluster]
        if tenant is None or not any(model.hold for model in tenant.models):
            return
        seen = self._seen[name] = set()
        for table in tables(tenant):
            for model in table.models:
                if model.hold:
                    seen.add(model.cluster)
                    self._asking[model.cluster].setdefault(name, set()).add(table.name)
                    if not model.asleep:
                        self._direct[model.cluster].add(name)

    def closed(self, cluster: str, has: Callable[[str], bool]) -> bool:
        """Whether no request gets to the cluster past the agent; `has` tells whether Envoy has a table as it is now."""
        if cluster in self._direct:
            return False
        return all(has(table) for asking in self._asking.get(cluster, {}).values() for table in asking)
