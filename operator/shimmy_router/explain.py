"""What a tenant's request would do, as JSON for those who look after the fleet. Pure; holds no secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shimmy_api import errors
from shimmy_api.access import RequestLimits
from shimmy_api.errors import ApiError
from shimmy_api.fallback import Trigger
from shimmy_api.unsupported import UNSUPPORTED, unsupported
from shimmy_router.fleet import Fallback, Fleet, Key, Model, Substitute, Tenant, Token
from shimmy_router.records import Endpoint
from shimmy_router.xds.lists import LATEST, by_request
from shimmy_router.xds.paths import API_PATHS, LISTS, SOCKET_PATH

Json = dict[str, Any]

DEFAULT_PATH: Final = API_PATHS[0]


def tenants(fleet: Fleet, now: float) -> Json:
    """Every tenant: its credentials by their public names, and the models that it can ask for."""
    return {"tenants": [_tenant(tenant, now) for tenant in fleet.tenants]}


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is not made."""

    tenant: str
    asked: str
    """The model as the request would name it."""
    path: str = DEFAULT_PATH
    credential: str = ""
    """Name or public id of its key, or name of its tokens; any that lets it through if empty."""


def explain(fleet: Fleet, question: Question, now: float) -> Json | None:
    """What would become of it at the time `now`, in seconds since the epoch. None if there is no such tenant.

    What the limits say at this moment is not in it, nor how long the queues are.
    """
    tenant = next((found for found in fleet.tenants if found.name == question.tenant), None)
    if tenant is None:
        return None
    asked = question.asked
    model = _find(tenant, asked)
    return {
        "tenant": tenant.name,
        "namespace": tenant.namespace,
        "asked": asked,
        "path": question.path,
        "model": _resolved(fleet, model, asked) if model else None,
        "credentials": [_credential(found, model, now) for found in _credentials(tenant)],
        "limits": _limits(tenant.limits),
        "priority": tenant.priority,
        "weight": tenant.weight,
        "answer": _answer(tenant, model, question, now),
    }


def _find(tenant: Tenant, asked: str) -> Model | None:
    """The model of that name or alias, with or without Ollama's default tag."""
    return by_request(tenant.models).get(asked.removesuffix(LATEST))


def _answer(tenant: Tenant, model: Model | None, question: Question, now: float) -> Json:
    credentials = [
        found
        for found in _credentials(tenant)
        if question.credential in ("", found.name, _public_id(found)) and _state(found, now) == "Active"
    ]
    if not credentials:
        return _refused(errors.INVALID_KEY)
    if question.path in LISTS:
        return {"outcome": "Listed"}
    for _, path, what in UNSUPPORTED:
        if path == question.path:
            return _refused(unsupported(what))
    if question.path not in (*API_PATHS, SOCKET_PATH):
        return _refused(errors.NOT_FOUND)
    if model is None or not any(_may_ask(found, model) for found in credentials):
        return _refused(errors.MODEL_NOT_FOUND)
    return _served(model)


def _served(model: Model) -> Json:
    if model.ready:
        return {"outcome": "Served", "model": model.name, "cluster": model.cluster}
    substitute = _substitute(model.fallback)
    if substitute:
        return {"outcome": "Served", "model": substitute.model, "cluster": substitute.cluster, "reason": "no_pod"}
    if model.asleep and model.hold:
        return {"outcome": "Held", "model": model.name, "cluster": model.cluster, "seconds": model.hold.seconds}
    return _refused(errors.MODEL_UNAVAILABLE)


def _may_ask(credential: Key | Token, model: Model) -> bool:
    return credential.models is None or model.name in credential.models


def _substitute(fallback: Fallback | None) -> Substitute | None:
    if fallback is None or Trigger.NO_POD not in fallback.when:
        return None
    return next((substitute for substitute in fallback.chain if substitute.ready), None)


def _refused(error: ApiError) -> Json:
    found: Json = {"outcome": "Refused", "status": error.status, "code": error.code, "message": error.message}
    return found if error.retry_after is None else found | {"retryAfterSeconds": error.retry_after}


def _resolved(fleet: Fleet, model: Model, asked: str) -> Json:
    owners = (own for tenant in fleet.tenants if tenant.name == model.owner for own in tenant.models)
    pods = next((own.endpoints for own in owners if own.cluster == model.cluster), ())
    return {
        "name": model.name,
        "by": "Name" if model.name in (asked, asked.removesuffix(LATEST)) else "Alias",
        "owner": model.owner,
        "shared": model.shared,
        "cluster": model.cluster,
        "ready": model.ready,
        "asleep": model.asleep,
        "pods": [_pod(endpoint) for endpoint in pods],
        "timeoutSeconds": model.timeout_seconds,
        "firstByteSeconds": model.first_byte_seconds,
        "retries": model.retries,
        "fallback": _fallback(model.fallback),
    }


def _pod(endpoint: Endpoint) -> Json:
    return {
        "name": endpoint.pod,
        "address": endpoint.address,
        "port": endpoint.port,
        "zone": endpoint.zone,
        "state": "Draining" if endpoint.draining else "Ready",
        "weight": endpoint.weight,
    }


def _fallback(fallback: Fallback | None) -> Json | None:
    if fallback is None:
        return None
    chain = [{"model": s.model, "cluster": s.cluster, "ready": s.ready} for s in fallback.chain]
    return {"models": chain, "when": sorted(fallback.when)}


def _tenant(tenant: Tenant, now: float) -> Json:
    return {
        "name": tenant.name,
        "namespace": tenant.namespace,
        "credentials": [_credential(found, None, now) for found in _credentials(tenant)],
        "models": [
            {"name": m.name, "owner": m.owner, "aliases": list(m.aliases), "shared": m.shared, "ready": m.ready}
            for m in tenant.models
        ],
    }


def _credentials(tenant: Tenant) -> list[Key | Token]:
    return [*tenant.keys, *tenant.tokens]


def _credential(credential: Key | Token, model: Model | None, now: float) -> Json:
    expires = credential.expires if isinstance(credential, Key) else None
    found: Json = {
        "name": credential.name,
        "kind": "Key" if isinstance(credential, Key) else "Token",
        "id": _public_id(credential),
        "state": _state(credential, now),
        "expiresAt": None if expires is None else datetime.fromtimestamp(expires, UTC).isoformat(),
        "models": None if credential.models is None else sorted(credential.models),
        "limits": _limits(credential.limits),
    }
    return found if model is None else found | {"mayAsk": _may_ask(credential, model)}


def _public_id(credential: Key | Token) -> str:
    return credential.id if isinstance(credential, Key) else credential.name


def _state(credential: Key | Token, now: float) -> str:
    expired = isinstance(credential, Key) and credential.expires is not None and credential.expires <= now
    return "Expired" if expired else "Active"


def _limits(limits: RequestLimits) -> Mapping[str, int]:
    found: Mapping[str, int] = limits.model_dump(by_alias=True, exclude_none=True)
    return found
