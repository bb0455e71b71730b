"""Status of a ShimmyTenant."""

from collections.abc import Sequence
from dataclasses import dataclass

from shimmy_api.conditions import DISCOVERED
from shimmy_api.tenant import KeyStatus, ShimmyTenantStatus, TokenStatus
from shimmy_operator.status.conditions import Verdict, condition, consistency_condition, ready_condition
from shimmy_operator.status.discovery import Discovered

READY = Verdict(True, "Provisioned", "The namespace, its quota, its walls and its keys are there.")


def namespace_not_ours(tenant: str, namespace: str, label: str) -> Verdict:
    """A namespace that exists and is not this tenant's: it stays untouched."""
    return Verdict(
        False,
        "NamespaceNotOurs",
        f"Namespace {namespace} exists and does not belong to this tenant. Choose another spec.namespace, or, to hand "
        f"it over with all that is in it, label it: kubectl label namespace {namespace} {label}={tenant}",
    )


def namespace_terminating(namespace: str) -> Verdict:
    """A namespace that is being deleted."""
    return Verdict(
        False, "NamespaceTerminating", f"Namespace {namespace} is being deleted; it is made anew when it is gone."
    )


def token_missing(secret: str) -> Verdict:
    """A token Secret that somebody emptied."""
    return Verdict(
        False, "EngineTokenMissing", f"Secret {secret} holds nothing under data.token. Delete it to get a new one."
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What a tenant's status tells beside the verdict."""

    namespace: str | None = None
    """None until it is the tenant's."""
    endpoint: str | None = None
    keys: tuple[KeyStatus, ...] = ()
    tokens: tuple[TokenStatus, ...] = ()
    conflicts: Sequence[Verdict] | None = None
    """With other objects; None where the tenant has nothing that could contradict any."""
    discovery: Discovered | None = None
    """None where none is asked for."""


def tenant_status(
    verdict: Verdict, found: Found, previous: ShimmyTenantStatus, generation: int, now: str
) -> ShimmyTenantStatus:
    """The whole status."""
    conditions = [
        ready_condition(verdict, previous.conditions, generation, now),
        *consistency_condition(found.conflicts, previous.conditions, generation, now),
    ]
    discovery = found.discovery
    if discovery is not None:
        conditions.append(condition(DISCOVERED, discovery.verdict, previous.conditions, generation, now))
    return ShimmyTenantStatus(
        observed_generation=generation,
        namespace=found.namespace,
        endpoint=found.endpoint,
        keys=tuple(sorted(found.keys, key=lambda key: key.name)),
        tokens=tuple(sorted(found.tokens, key=lambda token: token.name)),
        discovery=discovery.sources if discovery is not None else (),
        conditions=tuple(conditions),
    )
