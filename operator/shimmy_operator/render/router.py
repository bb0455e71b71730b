"""A router for one tenant alone, in the tenant's namespace. Its pods are those of the Helm chart's router."""

import json
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from shimmy_api import names
from shimmy_api.load import METER_AUDIENCE
from shimmy_operator.render.context import Context
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata
from shimmy_operator.render.network_policies import DNS, NAMESPACE_NAME, component
from shimmy_operator.render.pod import RESTRICTED_CONTAINER, render_pod_base
from shimmy_operator.render.secrets import encoded

NAME: Final = names.TENANT_ROUTER

_REPLICAS: Final = 2
_DRAIN_SECONDS: Final = 300
_HTTPS: Final = 443
_KILL_MARGIN_SECONDS: Final = 15
_RUN: Final = {"name": "run", "mountPath": "/run/shimmy"}
_METER_FOLDER: Final = "/var/run/shimmy-meter"
_METER: Final = {"name": "meter", "mountPath": _METER_FOLDER, "readOnly": True}
_TOKEN: Final = {
    "name": "token",
    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    "readOnly": True,
}
_AGENT_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "768Mi"}}
_LOGGING: Final = ("--log-level", "warning", "--component-log-level", "config:error")
"""What Envoy refuses it would quote in a warning, with its secrets."""
_ENVOY_RESOURCES: Final = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


def endpoint(namespace: str) -> str:
    """Base URL of the OpenAI API at a tenant's own router."""
    return f"http://{NAME}.{namespace}.svc/v1"


def with_tenant(mirror: Manifest, tenant: Manifest, namespace: str, meter_authorities: str) -> Manifest:
    """The mirrored keys with what a router without rights outside its namespace cannot read elsewhere.

    That is the ShimmyTenant itself, and whom to take for the metrics server (PEM; empty if that is not known).
    """
    source = tenant["metadata"]
    known = {
        "metadata": {"name": source["name"], "creationTimestamp": source.get("creationTimestamp")},
        "spec": tenant["spec"],
        "status": {"namespace": namespace},
    }
    text = json.dumps(known, sort_keys=True, separators=(",", ":"))
    added = {names.MIRRORED_TENANT_ENTRY: encoded(text)}
    if meter_authorities:
        added[names.MIRRORED_METER_ENTRY] = encoded(meter_authorities)
    return {**mirror, "data": {**mirror["data"], **added}}


def render_tenant_router(tenant: str, namespace: str, owner: Owner, context: Context) -> list[Manifest]:
    """Its account and rights, its pods, their Service, how they find one another, and how many may be taken away."""
    found, selector = labels(tenant, component=names.ROUTER), _selector()
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(NAME, namespace, labels(tenant)),
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata(NAME, namespace, labels(tenant), owner),
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": names.TENANT_ROUTER_ROLE,
            },
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(NAME, namespace, found, owner),
            "spec": {
                "replicas": _REPLICAS,
                "selector": {"matchLabels": selector},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": {**found, names.LABEL_ROUTER: "true"}},
                    "spec": _pod(tenant, context),
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(NAME, namespace, found, owner),
            "spec": {
                "selector": selector,
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(names.ROUTER_METRICS_SERVICE, namespace, found, owner),
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": selector,
                "ports": [{"name": names.METRICS_PORT_NAME, "port": 9090, "targetPort": "metrics", "protocol": "TCP"}],
            },
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(NAME, namespace, found, owner),
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": selector},
            },
        },
    ]


def render_scale_binding(tenant: str, namespace: str, owner: Owner, account: str, home: str) -> Manifest:
    """What lets the ServiceAccount of a tenant's router, in its namespace `home`, start pods in the tenant's."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(names.ROUTER_SCALE, namespace, labels(tenant), owner),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.ROUTER_SCALE},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }


def render_router_policy(tenant: str, namespace: str, context: Context, *, wanted: bool) -> Manifest:
    """What its pods reach and who reaches them; nothing and nobody where there is none (any more)."""
    routers = {"podSelector": {"matchLabels": _selector()}}
    api_server = [{"ipBlock": {"cidr": str(ip_network(address))}} for address in context.api_server_addresses]
    clients = [{"protocol": "TCP", "port": "http"}, {"protocol": "TCP", "port": "metrics"}]
    ports = (names.ENGINE_PORT, names.ENGINE_ADMIN_PORT)
    egress: list[dict[str, Any]] = [
        {
            "to": [{"podSelector": component(names.ENGINE)}],
            "ports": [{"protocol": "TCP", "port": port} for port in ports],
        },
        {"to": [routers]},
    ]
    if api_server:
        served = [{"protocol": "TCP", "port": port} for port in context.api_server_ports]
        egress.append({"to": api_server, "ports": served})
    if context.router_meter:
        egress += [DNS, _to_meter(context)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(NAME, namespace, labels(tenant)),
        "spec": {
            "podSelector": {"matchLabels": _selector()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": clients}, {"from": [routers]}] if wanted else [],
            "egress": egress if wanted else [],
        },
    }


def _to_meter(context: Context) -> dict[str, Any]:
    elsewhere = {"matchLabels": {NAMESPACE_NAME: context.router_namespace}}
    port = urlsplit(context.router_meter).port or _HTTPS
    return {
        "to": [{"namespaceSelector": elsewhere, "podSelector": component(names.METER_COMPONENT)}],
        "ports": [{"protocol": "TCP", "port": port}],
    }


def _selector() -> dict[str, str]:
    return {names.LABEL_PART_OF: names.PART_OF, names.LABEL_COMPONENT: names.ROUTER}


def _pod(tenant: str, context: Context) -> dict[str, Any]:
    meter = (f"--meter={context.router_meter}", f"--meter-folder={_METER_FOLDER}") if context.router_meter else ()
    image = {"image": context.router_image, "imagePullPolicy": context.image_pull_policy}
    hardened = {"securityContext": RESTRICTED_CONTAINER}
    return {
        **render_pod_base(),
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": _DRAIN_SECONDS + _KILL_MARGIN_SECONDS,
        "initContainers": [
            {
                **image,
                **hardened,
                "name": "bootstrap",
                "args": ["bootstrap"],
                "resources": _AGENT_RESOURCES,
                "volumeMounts": [_RUN],
            },
            {
                **image,
                **hardened,
                "name": "agent",
                "restartPolicy": "Always",
                "args": ["agent", f"--tenant={tenant}", *meter],
                "env": [{"name": "SHIMMY_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
                "ports": [{"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "failureThreshold": 6},
                "resources": _AGENT_RESOURCES,
                "volumeMounts": [_RUN, _TOKEN, *([_METER] if meter else [])],
            },
        ],
        "containers": [
            {
                **image,
                **hardened,
                "name": "envoy",
                "command": ["/opt/shimmy/bin/envoy"],
                "args": ["--config-path", "/run/shimmy/envoy.json", "--concurrency", "2", *_LOGGING],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2},
                "lifecycle": {
                    "preStop": {
                        "exec": {"command": ["/opt/shimmy/bin/shimmy-router", "drain", f"--seconds={_DRAIN_SECONDS}"]}
                    }
                },
                "resources": _ENVOY_RESOURCES,
                "volumeMounts": [_RUN],
            }
        ],
        "volumes": [
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            _token(),
            *([_meter(tenant)] if meter else []),
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "matchLabelKeys": ["pod-template-hash"],
                "labelSelector": {"matchLabels": _selector()},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
    }


def _token() -> dict[str, Any]:
    """The account's token as the kubelet would mount it into every container, for the agent alone."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    return {"name": "token", "projected": {"defaultMode": 0o440, "sources": sources}}


def _meter(tenant: str) -> dict[str, Any]:
    """What proves to the metrics server who comes, and whom to take for it; of the mirrored Secret nothing else."""
    authorities = [{"key": names.MIRRORED_METER_ENTRY, "path": "ca.crt"}]
    sources = [
        {"serviceAccountToken": {"path": "token", "audience": METER_AUDIENCE, "expirationSeconds": 3600}},
        {"secret": {"name": names.mirrored_keys_secret(tenant), "optional": True, "items": authorities}},
    ]
    return {"name": _METER["name"], "projected": {"defaultMode": 0o440, "sources": sources}}
