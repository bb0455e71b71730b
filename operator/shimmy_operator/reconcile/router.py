"""A tenant's own router, and where the keys lie that its router reads."""

from shimmy_api import names
from shimmy_api.tenant import ShimmyTenantSpec
from shimmy_operator.cluster.resources import Manifest, reference
from shimmy_operator.reconcile.children import delete, ensure, is_going, is_owned, prune
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.relations import sleep_topic
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.router import (
    NAME,
    render_router_policy,
    render_scale_binding,
    render_tenant_router,
    with_tenant,
)
from shimmy_operator.render.secrets import decoded


async def reconcile_router(environment: Environment, owner: Owner, namespace: str, spec: ShimmyTenantSpec) -> None:
    """Have a router of the tenant's own if it wants one, and none otherwise."""
    if spec.router == "Dedicated":
        await ensure(environment, render_router_policy(owner.name, namespace, environment.context, wanted=True))
        for rendered in render_tenant_router(owner.name, namespace, owner, environment.context):
            await ensure(environment, rendered)
        return
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        await prune(environment, kind, namespace, owner.uid, ())
    await prune(environment, "RoleBinding", namespace, owner.uid, {names.DISCOVERY_ACCESS, names.ROUTER_SCALE})
    if environment.store.get("NetworkPolicy", namespace, NAME) is not None:
        # Walls are closed, never deleted: the operator has no right to.
        await ensure(environment, render_router_policy(owner.name, namespace, environment.context, wanted=False))


async def ensure_wake_access(environment: Environment, owner: Owner, namespace: str, spec: ShimmyTenantSpec) -> None:
    """Let the tenant's router start pods where instances may have none, and nowhere else."""
    if environment.relations.telling(sleep_topic(namespace)):
        rendered = render_scale_binding(owner.name, namespace, owner, *_account(environment, namespace, spec))
        await ensure(environment, rendered)
        return
    live = environment.store.get("RoleBinding", namespace, names.ROUTER_SCALE)
    if live is not None and is_owned(live, owner.uid) and not is_going(live):
        await delete(environment, live)


def _account(environment: Environment, namespace: str, spec: ShimmyTenantSpec) -> tuple[str, str]:
    """Name and namespace of the ServiceAccount of the tenant's router."""
    name = NAME if spec.router == "Dedicated" else names.ROUTER_ACCOUNT
    return name, mirror_namespace(environment, namespace, spec)


def mirror_namespace(environment: Environment, namespace: str, spec: ShimmyTenantSpec) -> str:
    """The namespace of the router that serves the tenant."""
    return namespace if spec.router == "Dedicated" else environment.settings.router_namespace


def learn_authorities(environment: Environment, authorities: bytes) -> None:
    """Have the routers that tenants have of their own trust these, PEM, as the metrics server's."""
    text = authorities.decode("ascii", errors="ignore")  # bundles have comments in other letters, PEM has not
    if environment.trust.authorities == text:
        return
    environment.trust.authorities = text
    for tenant in environment.store.all("ShimmyTenant"):
        if tenant["spec"].get("router") == "Dedicated":
            environment.later(reference(tenant), 0)


def _authorities(environment: Environment, mirror: Manifest) -> str:
    """What is known, and until then what an operator before this one knew."""
    if environment.trust.authorities is not None or not environment.settings.router_meter:
        return environment.trust.authorities or ""
    place = mirror["metadata"]
    live = environment.store.get("Secret", place["namespace"], place["name"])
    return decoded(live or {}, names.MIRRORED_METER_ENTRY) or ""


async def ensure_mirror(
    environment: Environment, tenant: Manifest, namespace: str, spec: ShimmyTenantSpec, mirror: Manifest
) -> None:
    """Have the keys where the tenant's router reads them, and nowhere else."""
    home = mirror["metadata"]["namespace"]
    if spec.router == "Dedicated":
        mirror = with_tenant(mirror, tenant, namespace, _authorities(environment, mirror))
    await ensure(environment, mirror)
    for other in {namespace, environment.settings.router_namespace} - {home}:
        live = environment.store.get("Secret", other, mirror["metadata"]["name"])
        if live is not None and is_owned(live, tenant["metadata"]["uid"]) and not is_going(live):
            await delete(environment, live)
