"""Where an object contradicts others: what no rule on one object alone can tell."""

from collections.abc import Iterable

from shimmy_api.fallback import Fallback
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.model import Sharing, ShimmyModelSpec
from shimmy_api.tenant import ShimmyTenantSpec
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.children import is_going
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.relations import alias_topic, chain_topic, shared_topic
from shimmy_operator.status.conditions import Verdict


def tenant_conflicts(
    environment: Environment, tenant: str, namespace: str, spec: ShimmyTenantSpec
) -> list[Verdict] | None:
    """Models that a tenant's spec names and that it cannot use; None where it names none."""
    named: list[tuple[str, str]] = []
    for what, entries in (("Key", spec.keys), ("Tokens", spec.tokens)):
        named += [(f"{what} {entry.name}", model) for entry in entries for model in entry.models or ()]
    named += [("The fallback", model) for model in _chain(spec.fallback)]
    if not named:
        return None
    return [
        Verdict(
            False,
            "ModelNotFound",
            f"{who} names model {model}, which is not in namespace {namespace} and which nobody shares with the "
            "tenant. Create it, have it shared, or take the name out.",
        )
        for who, model in named
        if not _is_usable(environment, tenant, namespace, model)
    ]


def instance_conflicts(environment: Environment, manifest: Manifest, spec: ShimmyInstanceSpec) -> list[Verdict] | None:
    """Models that an instance's chain names and that are not there, and chains that do not count.

    None where it has no chain.
    """
    fallback, namespace = spec.routing.fallback, manifest["metadata"]["namespace"]
    if fallback is None:
        return None
    found = [
        Verdict(
            False,
            "ModelNotFound",
            f"The fallback names model {model}, which is not in this namespace. Create it, or take the name out; only "
            "the fallback of the tenant may name models that others share with it.",
        )
        for model in fallback.models
        if not _exists(environment, Reference("ShimmyModel", namespace, model))
    ]
    for model in spec.models:
        instances = _all(environment, environment.relations.telling(chain_topic(namespace, model)))
        first = min([manifest, *instances], key=_age)
        if first is not manifest and first["spec"]["routing"]["fallback"] != manifest["spec"]["routing"]["fallback"]:
            message = (
                f"Model {model} is also served by instance {first['metadata']['name']}, which is older and has another "
                "fallback: that one counts. Give both the same."
            )
            found.append(Verdict(False, "FallbackNotUsed", message))
    return found


def model_conflicts(environment: Environment, manifest: Manifest, spec: ShimmyModelSpec) -> list[Verdict] | None:
    """Aliases that are another model's, and tenants that do not exist; None where there is neither."""
    if not spec.aliases and not spec.shared_with.tenants:
        return None
    found = []
    for alias in spec.aliases:
        holder = _holder(environment, manifest, alias)
        if holder is not None:
            message = f"Alias {alias} is a name of model {holder}, which comes first. Take it out of one of them."
            found.append(Verdict(False, "AliasTaken", message))
    for tenant in unknown_tenants(environment, spec.shared_with):
        message = f"It is shared with tenant {tenant}, which does not exist. Create it, or take the name out."
        found.append(Verdict(False, "TenantNotFound", message))
    return found


def unknown_tenants(environment: Environment, sharing: Sharing) -> tuple[str, ...]:
    """Tenants that a model is shared with and that do not exist."""
    return tuple(
        tenant for tenant in sharing.tenants if not _exists(environment, Reference("ShimmyTenant", None, tenant))
    )


def _holder(environment: Environment, manifest: Manifest, alias: str) -> str | None:
    """The other model of the namespace that has a name: the model of this name, else the oldest with the alias."""
    mine, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    if alias == mine:
        return None
    others = _all(environment, environment.relations.telling(alias_topic(namespace, alias)))
    first = min([manifest, *others], key=lambda model: (model["metadata"]["name"] != alias, *_age(model)))
    name = str(first["metadata"]["name"])
    return None if name == mine else name


def _is_usable(environment: Environment, tenant: str, namespace: str, model: str) -> bool:
    if _exists(environment, Reference("ShimmyModel", namespace, model)):
        return True
    for other in _all(environment, environment.relations.telling(shared_topic(model))):
        sharing = other["spec"]["sharedWith"]
        if sharing.get("allTenants") or tenant in (sharing.get("tenants") or ()):
            return True
    return False


def _exists(environment: Environment, key: Reference) -> bool:
    manifest = environment.store.find(key)
    return manifest is not None and not is_going(manifest)


def _all(environment: Environment, keys: Iterable[Reference]) -> list[Manifest]:
    return [manifest for key in keys if (manifest := environment.store.find(key)) is not None]


def _age(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return str(metadata.get("creationTimestamp") or ""), str(metadata["name"])


def _chain(fallback: Fallback | None) -> tuple[str, ...]:
    return fallback.models if fallback else ()
