"""Status of a ShimmyTenant."""

from shimmy_api.conditions import DISCOVERED
from shimmy_api.tenant import KeyStatus, ShimmyTenantStatus
from shimmy_operator.status.conditions import Verdict, condition, ready_condition
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


def key_invalid(secret: str, pattern: str) -> Verdict:
    """A key Secret whose content is no key of ours."""
    return Verdict(
        False,
        "KeyInvalid",
        f"Secret {secret} does not hold under data.key a key of the form {pattern}. Delete it to get a new key.",
    )


def token_missing(secret: str) -> Verdict:
    """A token Secret that somebody emptied."""
    return Verdict(
        False, "EngineTokenMissing", f"Secret {secret} holds nothing under data.token. Delete it to get a new one."
    )


def tenant_status(
    verdict: Verdict,
    namespace: str | None,
    keys: tuple[KeyStatus, ...],
    discovery: Discovered | None,
    previous: ShimmyTenantStatus,
    generation: int,
    now: str,
) -> ShimmyTenantStatus:
    """The whole status; `namespace` is None until it is the tenant's, `discovery` where none is asked for."""
    conditions = [ready_condition(verdict, previous.conditions, generation, now)]
    if discovery is not None:
        conditions.append(condition(DISCOVERED, discovery.verdict, previous.conditions, generation, now))
    return ShimmyTenantStatus(
        observed_generation=generation,
        namespace=namespace,
        keys=tuple(sorted(keys, key=lambda key: key.name)),
        discovery=discovery.sources if discovery is not None else (),
        conditions=tuple(conditions),
    )
