"""Reconciles a ShimmyTenant."""

from shimmy_api import names
from shimmy_api.tenant import ShimmyTenantSpec, ShimmyTenantStatus
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.access import Access, ensure_access
from shimmy_operator.reconcile.children import delete, ensure, ensure_created, is_going, is_owned
from shimmy_operator.reconcile.consistency import tenant_conflicts
from shimmy_operator.reconcile.discovery import reconcile_discovery
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.reconcile.router import ensure_wake_access, reconcile_router
from shimmy_operator.render.fetch_access import render_authorities
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.namespace import belongs_to, namespace_of, render_namespace
from shimmy_operator.render.network_policies import render_network_policies
from shimmy_operator.render.quota import render_quota
from shimmy_operator.render.router import endpoint
from shimmy_operator.render.service_account import render_service_account
from shimmy_operator.status import keys, tokens
from shimmy_operator.status import tenant as status
from shimmy_operator.status.conditions import Verdict
from shimmy_operator.status.discovery import PROGRESS


async def reconcile_tenant(environment: Environment, manifest: Manifest) -> Outcome[ShimmyTenantStatus]:
    """Make the namespace and what belongs into it, then the keys and their copy, then the models that are found."""
    spec = ShimmyTenantSpec.model_validate(manifest["spec"])
    before = ShimmyTenantStatus.model_validate(manifest.get("status") or {})
    name, namespace = manifest["metadata"]["name"], namespace_of(manifest)
    refusal = _refuse_namespace(environment, name, namespace, before)
    if refusal is not None:
        return _outcome(environment, manifest, before, refusal, status.Found())
    await ensure_created(environment, render_namespace(name, namespace))
    await ensure(environment, render_service_account(name, namespace))
    await ensure(environment, render_quota(name, namespace, spec.quota))
    for policy in render_network_policies(name, namespace, spec.fetch, spec.router, environment.context):
        await ensure(environment, policy)
    owner = Owner("ShimmyTenant", name, manifest["metadata"]["uid"])
    await _ensure_authorities(environment, owner, namespace)
    access = await ensure_access(environment, manifest, namespace, spec)
    await reconcile_router(environment, owner, namespace, spec)
    await ensure_wake_access(environment, owner, namespace, spec)
    found = status.Found(
        namespace=namespace,
        endpoint=endpoint(namespace) if spec.router == "Dedicated" else environment.settings.endpoint,
        keys=access.keys,
        tokens=access.tokens,
        conflicts=_conflicts(environment, name, namespace, spec, access),
        discovery=await reconcile_discovery(environment, manifest, namespace, spec.discovery),
    )
    return _outcome(environment, manifest, before, access.verdict, found)


async def _ensure_authorities(environment: Environment, owner: Owner, namespace: str) -> None:
    rendered = render_authorities(owner.name, namespace, owner, environment.settings.fetch_network)
    if rendered is not None:
        await ensure(environment, rendered)
        return
    live = environment.store.get("ConfigMap", namespace, names.FETCH_AUTHORITIES)
    if live is not None and is_owned(live, owner.uid) and not is_going(live):
        await delete(environment, live)


def _refuse_namespace(
    environment: Environment, tenant: str, namespace: str, before: ShimmyTenantStatus
) -> Verdict | None:
    live = environment.store.get("Namespace", None, namespace)
    if live is None:
        return None
    label = (live["metadata"].get("labels") or {}).get(names.LABEL_TENANT)
    lost_label = label is None and before.namespace == namespace
    if not belongs_to(live, tenant) and not lost_label:
        return status.namespace_not_ours(tenant, namespace, names.LABEL_TENANT)
    return status.namespace_terminating(namespace) if is_going(live) else None


def _conflicts(
    environment: Environment, tenant: str, namespace: str, spec: ShimmyTenantSpec, access: Access
) -> list[Verdict] | None:
    of_access = [*keys.conflicts(access.keys), *tokens.conflicts(access.tokens)]
    of_models = tenant_conflicts(environment, tenant, namespace, spec)
    return None if of_models is None and not of_access and not spec.tokens else [*of_access, *(of_models or ())]


def _outcome(
    environment: Environment, manifest: Manifest, before: ShimmyTenantStatus, verdict: Verdict, found: status.Found
) -> Outcome[ShimmyTenantStatus]:
    after = status.tenant_status(verdict, found, before, manifest["metadata"]["generation"], environment.now)
    news = (*keys.news(before.keys, after.keys), *tokens.news(before.tokens, after.tokens))
    return Outcome(before, after, PROGRESS, news if found.namespace is not None else ())
