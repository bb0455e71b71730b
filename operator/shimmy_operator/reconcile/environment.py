"""What every reconciliation works with."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address

from shimmy_operator.cluster.port import Cluster
from shimmy_operator.cluster.resources import Reference
from shimmy_operator.cluster.store import Store
from shimmy_operator.reconcile.memory import ScalingMemory, Trust
from shimmy_operator.reconcile.relations import Relations, home_topic
from shimmy_operator.render.context import Context
from shimmy_operator.render.namespace import belongs_to
from shimmy_operator.render.router import endpoint


@dataclass(frozen=True, slots=True)
class Environment:
    """The cluster, what is known of it, the settings and the time."""

    cluster: Cluster
    store: Store
    relations: Relations
    """Of the objects in the store."""
    settings: Context
    """As started; `context` adds what was learned since."""
    clock: Callable[[], datetime]
    later: Callable[[Reference, float], None]
    """Reconcile an object again after some seconds."""
    progress_written: dict[Reference, datetime] = field(default_factory=dict)
    """When the status of an object was last written."""
    scaling: ScalingMemory = field(default_factory=ScalingMemory)
    trust: Trust = field(default_factory=Trust)

    @property
    def context(self) -> Context:
        """The settings with the API server's addresses and ports, which its own EndpointSlice names."""
        slices = self.store.within("EndpointSlice", "default")
        found = [
            ip_address(address)
            for part in slices
            for endpoint in part.get("endpoints") or ()
            for address in endpoint["addresses"]
        ]
        ports = {port["port"] for part in slices for port in part.get("ports") or () if port.get("port")}
        addresses = {*self.settings.api_server_addresses, *found}
        ordered = tuple(sorted(addresses, key=lambda address: (address.version, int(address))))
        ports |= {*self.settings.api_server_ports}
        return replace(self.settings, api_server_addresses=ordered, api_server_ports=tuple(sorted(ports)))

    @property
    def now(self) -> str:
        """The time as conditions hold it: RFC 3339, whole seconds, UTC."""
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def endpoint_of(self, tenant: str, namespace: str) -> str:
        """Base URL of the OpenAI API for a tenant's clients."""
        return endpoint(namespace) if self._has_router(tenant) else self.settings.endpoint

    def router_namespace_of(self, namespace: str) -> str:
        """Namespace of the router that serves the tenant of a namespace."""
        tenant = self.tenant_of(namespace)
        return namespace if tenant is not None and self._has_router(tenant) else self.settings.router_namespace

    def _has_router(self, tenant: str) -> bool:
        manifest = self.store.get("ShimmyTenant", None, tenant)
        return manifest is not None and manifest["spec"].get("router") == "Dedicated"

    def tenant_of(self, namespace: str) -> str | None:
        """Name of the tenant that a namespace belongs to; None if it belongs to none that exists."""
        manifest = self.store.get("Namespace", None, namespace)
        if manifest is None:
            return None
        for tenant in self.relations.tenants(home_topic(namespace)):
            if belongs_to(manifest, tenant["metadata"]["name"]):
                return str(tenant["metadata"]["name"])
        return None
