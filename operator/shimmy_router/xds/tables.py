"""Which of a tenant's models a credential leads to: one RouteConfiguration for all that lead to the same."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shimmy_router.fleet import Key, Model, Tenant, Token


@dataclass(frozen=True, slots=True)
class Table:
    """What one RouteConfiguration of a tenant is about."""

    name: str
    models: tuple[Model, ...]
    token: str = ""
    """Name of the tenant's entry whose tokens lead here, which stands for the id of a key; empty for keys."""


def table(tenant: Tenant, credential: Key | Token) -> Table:
    """Where this credential leads."""
    token = credential.name if isinstance(credential, Token) else ""
    if credential.models is None:
        allowed, models = None, tenant.models
    else:
        allowed = sorted(credential.models)
        models = tuple(_limited(m, credential.models) for m in tenant.models if m.name in credential.models)
    if allowed is None and not token:
        return Table(tenant.name, models)
    digest = hashlib.sha256(json.dumps([allowed, token]).encode()).hexdigest()[:12]
    return Table(f"{tenant.name}#{digest}", models, token)


def tables(tenant: Tenant) -> Iterator[Table]:
    """All of a tenant's tables."""
    credentials: tuple[Key | Token, ...] = (*tenant.keys, *tenant.tokens)
    found = (table(tenant, credential) for credential in credentials)
    yield from {one.name: one for one in found}.values()


def _limited(model: Model, allowed: frozenset[str]) -> Model:
    """The model, with nothing standing in for it that the credential may not use."""
    if model.fallback is None:
        return model
    chain = tuple(step for step in model.fallback.chain if step.model in allowed)
    return replace(model, fallback=replace(model.fallback, chain=chain) if chain else None)
