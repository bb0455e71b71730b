"""Reconciles a ShimmyTenant."""

from shimmy_api import names
from shimmy_api.tenant import KeyStatus, ShimmyTenantSpec, ShimmyTenantStatus
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.children import delete, ensure, ensure_created, ensure_secret, is_going, is_owned
from shimmy_operator.reconcile.discovery import reconcile_discovery
from shimmy_operator.reconcile.environment import Environment, namespace_of
from shimmy_operator.reconcile.keys import key_id, new_engine_token, new_key
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.render.fetch_access import render_authorities
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.namespace import belongs_to, render_namespace
from shimmy_operator.render.network_policies import render_network_policies
from shimmy_operator.render.quota import render_quota
from shimmy_operator.render.secrets import (
    KEY_ENTRY,
    TOKEN_ENTRY,
    decoded,
    render_engine_token_secret,
    render_key_secret,
    render_mirror,
)
from shimmy_operator.render.service_account import render_service_account
from shimmy_operator.status import tenant as status
from shimmy_operator.status.conditions import Verdict
from shimmy_operator.status.discovery import PROGRESS, Discovered


async def reconcile_tenant(environment: Environment, manifest: Manifest) -> Outcome[ShimmyTenantStatus]:
    """Make the namespace and what belongs into it, then the keys and their copy, then the models that are found."""
    spec = ShimmyTenantSpec.model_validate(manifest["spec"])
    before = ShimmyTenantStatus.model_validate(manifest.get("status") or {})
    name, namespace = manifest["metadata"]["name"], namespace_of(manifest)
    refusal = _refuse_namespace(environment, name, namespace, before)
    if refusal is not None:
        return _outcome(environment, manifest, before, refusal, None, (), None)
    await ensure_created(environment, render_namespace(name, namespace))
    await ensure(environment, render_service_account(name, namespace))
    await ensure(environment, render_quota(name, namespace, spec.quota))
    for policy in render_network_policies(name, namespace, spec.fetch, environment.context):
        await ensure(environment, policy)
    owner = Owner("ShimmyTenant", name, manifest["metadata"]["uid"])
    await _ensure_authorities(environment, owner, namespace)
    keys, verdict = await _ensure_keys(environment, owner, namespace, spec)
    discovered = await reconcile_discovery(environment, manifest, namespace, spec.discovery)
    return _outcome(environment, manifest, before, verdict, namespace, keys, discovered)


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


async def _ensure_keys(
    environment: Environment, owner: Owner, namespace: str, spec: ShimmyTenantSpec
) -> tuple[tuple[KeyStatus, ...], Verdict]:
    verdict, keys, found = status.READY, {}, []
    for entry in spec.keys:
        rendered = render_key_secret(owner.name, namespace, entry.name, owner)
        key = decoded(await ensure_secret(environment, rendered, KEY_ENTRY, new_key), KEY_ENTRY) or ""
        public = key_id(key)
        secret_name = names.key_secret(entry.name)
        if public is None:
            verdict = status.key_invalid(f"{namespace}/{secret_name}", names.KEY_PATTERN)
            continue
        keys[entry.name] = key
        found.append(KeyStatus(name=entry.name, id=public, secret_name=secret_name))
    await _prune_keys(environment, owner.uid, namespace, {names.key_secret(entry.name) for entry in spec.keys})
    rendered = render_engine_token_secret(owner.name, namespace, owner)
    token = decoded(await ensure_secret(environment, rendered, TOKEN_ENTRY, new_engine_token), TOKEN_ENTRY)
    if not token:
        return tuple(found), status.token_missing(f"{namespace}/{names.ENGINE_TOKEN_SECRET}")
    await ensure(environment, render_mirror(owner.name, keys, token, owner, environment.settings.router_namespace))
    return tuple(found), verdict


async def _prune_keys(environment: Environment, owner_uid: str, namespace: str, keep: set[str]) -> None:
    for secret in environment.store.within("Secret", namespace):
        is_key = secret.get("type") == names.SECRET_TYPE_KEY and is_owned(secret, owner_uid)
        if is_key and secret["metadata"]["name"] not in keep and not is_going(secret):
            await delete(environment, secret)


def _outcome(
    environment: Environment,
    manifest: Manifest,
    before: ShimmyTenantStatus,
    verdict: Verdict,
    namespace: str | None,
    keys: tuple[KeyStatus, ...],
    discovered: Discovered | None,
) -> Outcome[ShimmyTenantStatus]:
    generation = manifest["metadata"]["generation"]
    after = status.tenant_status(verdict, namespace, keys, discovered, before, generation, environment.now)
    return Outcome(before, after, PROGRESS)
