"""The walls around a tenant."""

from ipaddress import ip_network
from typing import Any, Final

from shimmy_api import names
from shimmy_api.tenant import FetchPolicy, Router
from shimmy_operator.render.context import AllowedEgress, Context
from shimmy_operator.render.egress import render_ip_block
from shimmy_operator.render.metadata import Manifest, labels, metadata

DENY: Final = "shimmy-default-deny"
ENGINES: Final = "shimmy-engines"
FETCH: Final = "shimmy-fetch"

NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"  # set by the API server on every namespace since 1.22
DNS: Final = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def render_network_policies(
    tenant: str, namespace: str, fetch: FetchPolicy, router: Router, context: Context
) -> list[Manifest]:
    """Deny everything to every pod, then let the tenant's router in to the engines and fetch Jobs out."""
    return [
        _policy(tenant, namespace, DENY, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        _policy(tenant, namespace, ENGINES, _engines(router, context)),
        _policy(tenant, namespace, FETCH, _fetch(fetch, context)),
    ]


def _policy(tenant: str, namespace: str, name: str, spec: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name, namespace, labels(tenant)),
        "spec": spec,
    }


def component(name: str) -> dict[str, Any]:
    """A label selector of the pods of one component."""
    return {"matchLabels": {names.LABEL_PART_OF: names.PART_OF, names.LABEL_COMPONENT: name}}


def _engines(router: Router, context: Context) -> dict[str, Any]:
    pods = {"podSelector": {"matchLabels": {names.LABEL_ROUTER: "true"}}}
    elsewhere = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: context.router_namespace}}}
    peer = elsewhere | pods if router == "Shared" else pods
    return {
        "podSelector": component(names.ENGINE),
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [peer],
                "ports": [{"protocol": "TCP", "port": port} for port in (names.ENGINE_PORT, names.ENGINE_ADMIN_PORT)],
            }
        ],
    }


def allowed_egress(fetch: FetchPolicy, context: Context) -> list[AllowedEgress]:
    """What a tenant's fetch Jobs may reach, by its own policy and by the operator's settings."""
    own = [AllowedEgress(ip_network(egress.cidr, strict=False), egress.ports) for egress in fetch.egress]
    return [*context.fetch_egress, *own]


def _fetch(fetch: FetchPolicy, context: Context) -> dict[str, Any]:
    if context.fetch_network.offline:
        return {"podSelector": component(names.FETCH), "policyTypes": ["Egress"], "egress": []}
    rules: list[dict[str, Any]] = [DNS]
    for allowed in allowed_egress(fetch, context):
        block = render_ip_block(allowed.network, context.api_server_addresses)
        if block is not None:
            ports = [{"protocol": "TCP", "port": port} for port in allowed.ports]
            rules.append({"to": [{"ipBlock": block}], "ports": ports})
    return {"podSelector": component(names.FETCH), "policyTypes": ["Egress"], "egress": rules}
