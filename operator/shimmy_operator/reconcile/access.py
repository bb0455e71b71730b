"""Has a tenant's API keys and the copy of all its credentials that the router reads."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pydantic import ValidationError

from shimmy_api import names
from shimmy_api.access import ApiKey, TokenAccess
from shimmy_api.tenant import KeyStatus, ShimmyTenantSpec, TokenStatus
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.reconcile.children import delete, ensure_secret, is_going, is_owned
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.keys import key_id, new_engine_token, new_key
from shimmy_operator.reconcile.relations import issuer_topic, key_topic, subject_topic
from shimmy_operator.reconcile.router import ensure_mirror, mirror_namespace
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.secrets import (
    KEY_ENTRY,
    TOKEN_ENTRY,
    Credentials,
    decoded,
    render_engine_token_secret,
    render_key_secret,
    render_mirror,
)
from shimmy_operator.status import keys as key_status
from shimmy_operator.status import tenant as status
from shimmy_operator.status import tokens as token_status
from shimmy_operator.status.conditions import Verdict


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in as a tenant."""

    keys: tuple[KeyStatus, ...]
    tokens: tuple[TokenStatus, ...]
    verdict: Verdict


async def ensure_access(environment: Environment, manifest: Manifest, namespace: str, spec: ShimmyTenantSpec) -> Access:
    """Make the keys that are to be generated, take those that are there, and give the accepted ones to the router."""
    owner = Owner("ShimmyTenant", manifest["metadata"]["name"], manifest["metadata"]["uid"])
    now, router = environment.clock(), environment.settings.router_namespace
    held = [await _hold(environment, owner, namespace, entry, now) for entry in spec.keys]
    await _prune(environment, owner.uid, namespace, spec)
    elsewhere = {one.key for one in held if one.key and _is_elsewhere(environment, owner.name, one.key)}
    keys = key_status.judge(held, namespace, now, elsewhere)
    tokens = token_status.judge(
        spec.tokens, _key_sets(environment, router), router, _older_claims(environment, manifest, spec)
    )
    end = key_status.next_expiry(spec.keys, now)
    if end is not None:
        environment.later(reference(manifest), (end - now).total_seconds())
    rendered = render_engine_token_secret(owner.name, namespace, owner)
    token = decoded(await ensure_secret(environment, rendered, TOKEN_ENTRY, new_engine_token), TOKEN_ENTRY)
    credentials = Credentials(
        engine_token=token or "",  # without it the engines refuse everybody, and a revoked key is still taken away
        keys={one.status.name: one.mirrored for one in keys if one.mirrored is not None},
        key_sets={one.status.name: one.key_set for one in tokens if one.key_set is not None},
    )
    mirror = render_mirror(owner.name, credentials, owner, mirror_namespace(environment, namespace, spec))
    await ensure_mirror(environment, manifest, namespace, spec, mirror)
    missing = None if token else status.token_missing(f"{namespace}/{names.ENGINE_TOKEN_SECRET}")
    found_keys, found_tokens = tuple(one.status for one in keys), tuple(one.status for one in tokens)
    problem = missing or key_status.problem(found_keys) or token_status.problem(found_tokens)
    return Access(found_keys, found_tokens, problem or status.READY)


async def _hold(
    environment: Environment, owner: Owner, namespace: str, entry: ApiKey, now: datetime
) -> key_status.Held:
    name = entry.secret_name or names.key_secret(entry.name)
    secret = environment.store.get("Secret", namespace, name)
    if entry.secret_name is None and (secret is not None or not key_status.is_over(entry, now)):
        rendered = render_key_secret(owner.name, namespace, entry.name, owner)
        secret = await ensure_secret(environment, rendered, KEY_ENTRY, new_key)
    if secret is None or (entry.secret_name is not None and is_going(secret)):
        return key_status.Held(entry, name, found=False)
    key = decoded(secret, KEY_ENTRY)
    return key_status.Held(entry, name, found=True, key=key, id=key_id(key or ""))


async def _prune(environment: Environment, owner_uid: str, namespace: str, spec: ShimmyTenantSpec) -> None:
    """Delete the generated keys that are not wanted any more."""
    keep = {names.key_secret(entry.name) for entry in spec.keys if entry.secret_name is None}
    for secret in environment.store.within("Secret", namespace):
        is_key = secret.get("type") == names.SECRET_TYPE_KEY and is_owned(secret, owner_uid)
        if is_key and secret["metadata"]["name"] not in keep and not is_going(secret):
            await delete(environment, secret)


def _is_elsewhere(environment: Environment, tenant: str, key: str) -> bool:
    """Whether another tenant holds a key, too."""
    return any(who.name != tenant for who in environment.relations.telling(key_topic(key)))


def _key_sets(environment: Environment, router_namespace: str) -> dict[str, str] | None:
    config_map = environment.store.get("ConfigMap", router_namespace, names.JWKS)
    return None if config_map is None else dict(config_map.get("data") or {})


def _older_claims(
    environment: Environment, manifest: Manifest, spec: ShimmyTenantSpec
) -> Iterator[token_status.Claimant]:
    """What counts of that which older tenants say of the same issuers, and of the same values."""
    relations, older = environment.relations, partial(_older, environment, manifest)
    for issuer in dict.fromkeys(entry.issuer for entry in spec.tokens):
        first = relations.first(issuer_topic(issuer))
        known = next((claim for claim in older([first] if first else []) if claim.entry.issuer == issuer), None)
        if known is None:
            continue
        yield known
        for entry in spec.tokens:
            if entry.issuer == issuer:
                topics = [subject_topic(issuer, entry.audience, value) for value in entry.values]
                holders = {who for topic in topics for who in relations.telling(topic)}
                yield from (claim for claim in older(holders) if token_status.are_checked_alike(claim, known))


def _older(
    environment: Environment, manifest: Manifest, others: Collection[Reference]
) -> Iterator[token_status.Claimant]:
    """All claims of those of some tenants that are older than this one, the oldest first."""
    found = [other for who in others if (other := environment.store.find(who)) is not None]
    for other in sorted(found, key=_age):
        if _age(other) < _age(manifest):
            yield from _claims(other)


def _claims(tenant: Manifest) -> Iterator[token_status.Claimant]:
    for entry in tenant["spec"].get("tokens") or ():
        # What an older version of the schema let in is that tenant's own problem.
        with contextlib.suppress(ValidationError):
            claim = TokenAccess.model_validate(entry)
            yield token_status.Claimant(f"tenant {tenant['metadata']['name']}", claim)


def _age(tenant: Manifest) -> tuple[str, str]:
    return str(tenant["metadata"].get("creationTimestamp") or ""), str(tenant["metadata"]["name"])
