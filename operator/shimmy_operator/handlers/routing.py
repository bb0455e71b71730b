"""Which objects a change concerns."""

from collections.abc import Callable, Iterator
from typing import Final

from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.cluster.store import Store
from shimmy_operator.reconcile.children import owner_reference
from shimmy_operator.reconcile.relations import Relations, home_topic, label_topic
from shimmy_operator.render.location import locate
from shimmy_operator.render.namespace import namespace_of
from shimmy_operator.status import instance as status

OWN_KINDS: Final = ("ShimmyTenant", "ShimmyModel", "ShimmyInstance")
_OF_DISCOVERY: Final = frozenset({"ConfigMap", "RoleBinding", "CronJob"})
_OF_TENANT: Final = frozenset({"NetworkPolicy", "ServiceAccount", "Secret", "ConfigMap", "RoleBinding"})


def concerned(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    """The objects to reconcile after `manifest` appeared, changed or went."""
    kind, store = manifest["kind"], relations.store
    labels = manifest["metadata"].get("labels") or {}
    if kind in OWN_KINDS:
        yield reference(manifest)
        yield from _dependents(manifest, relations)
    elif kind == "ConfigMap" and manifest["metadata"]["name"] == names.JWKS:
        yield from _with_issuers(store)
    elif kind in _OF_DISCOVERY or labels.get(names.LABEL_COMPONENT) == names.DISCOVERY:
        yield from _discoverers(manifest["metadata"]["namespace"], relations)
        if kind in _OF_TENANT:
            yield from _of_tenant(manifest, relations)
    elif kind == "EndpointSlice":
        yield from (reference(tenant) for tenant in store.all("ShimmyTenant"))
    elif kind in _BY_KIND:
        yield from _BY_KIND[kind](manifest, relations)
    elif kind in _OF_TENANT:
        yield from _of_tenant(manifest, relations)
    else:
        yield from filter(None, (owner_reference(own, manifest) for own in OWN_KINDS))


def _dependents(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    metadata, store = manifest["metadata"], relations.store
    if manifest["kind"] == "ShimmyTenant":
        yield from _inhabitants(namespace_of(manifest), store)
        return
    if _means_something_to_discovery(manifest, store):
        yield from _discoverers(metadata["namespace"], relations)
    if manifest["kind"] == "ShimmyModel":
        for instance in store.within("ShimmyInstance", metadata["namespace"]):
            if metadata["name"] in instance["spec"]["models"]:
                yield reference(instance)


def _means_something_to_discovery(manifest: Manifest, store: Store) -> bool:
    """Whether a name may be free, or a model served or not, that was not before; a change of status says no such thing.

    There are several of those for each of thousands of models.
    """
    observed = (manifest.get("status") or {}).get("observedGeneration")
    return store.find(reference(manifest)) is None or observed != manifest["metadata"]["generation"]


def _discoverers(namespace: str, relations: Relations) -> Iterator[Reference]:
    """The tenant of a namespace, if it has or had models discovered."""
    for tenant in relations.tenants(home_topic(namespace)):
        if tenant["spec"].get("discovery") or (tenant.get("status") or {}).get("discovery"):
            yield reference(tenant)


def _inhabitants(namespace: str, store: Store) -> Iterator[Reference]:
    for kind in ("ShimmyModel", "ShimmyInstance"):
        yield from (reference(manifest) for manifest in store.within(kind, namespace))


def _of_namespace(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    name = manifest["metadata"]["name"]
    yield from (reference(tenant) for tenant in relations.tenants(home_topic(name)))
    yield from _inhabitants(name, relations.store)


def _of_tenant(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    """The tenant that an object was made for, or the one whose namespace has a Secret that it may name as a key."""
    metadata = manifest["metadata"]
    found = relations.tenants(label_topic((metadata.get("labels") or {}).get(names.LABEL_TENANT, "")))
    if manifest["kind"] == "Secret":
        found += [tenant for tenant in relations.tenants(home_topic(metadata["namespace"])) if tenant not in found]
    yield from map(reference, found)


def _with_issuers(store: Store) -> Iterator[Reference]:
    """The tenants that accept tokens of issuers other than the cluster."""
    for tenant in store.all("ShimmyTenant"):
        if any(token.get("jwks") is not None for token in tenant["spec"].get("tokens") or ()):
            yield reference(tenant)


def _of_claim(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    yield from _discoverers(manifest["metadata"]["namespace"], relations)
    for model in relations.store.within("ShimmyModel", manifest["metadata"]["namespace"]):
        try:
            location = locate(model["metadata"]["name"], ShimmyModelSpec.model_validate(model["spec"]))
        except ValueError:
            continue
        if manifest["metadata"]["name"] in (location.claim_name, *location.claims):
            yield reference(model)


def _of_autoscaler(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    """Its instance, and those that may share a tenant's GPUs with it."""
    own, store = owner_reference("ShimmyInstance", manifest), relations.store
    instance = None if own is None else store.find(own)
    if instance is None:
        return
    yield reference(instance)
    if instance["spec"].get("gpu") is not None:
        yield from (one for one in _sharing_gpus(manifest, store) if one != own)


def _of_deployment(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    """Its owner; and where it is refused pods, those who may have the GPUs for them."""
    own = [found for kind in OWN_KINDS if (found := owner_reference(kind, manifest)) is not None]
    yield from own
    if status.refused(manifest):
        yield from (one for one in _sharing_gpus(manifest, relations.store) if one not in own)


def _of_quota(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    """Its tenant; and who shares its GPUs, where pods are refused for want of them."""
    yield from _of_tenant(manifest, relations)
    if any(map(status.refused, relations.store.within("Deployment", manifest["metadata"]["namespace"]))):
        yield from _sharing_gpus(manifest, relations.store)


def _sharing_gpus(manifest: Manifest, store: Store) -> Iterator[Reference]:
    """The instances in the namespace of an object whose pods have GPUs, as many as load decides."""
    for instance in store.within("ShimmyInstance", manifest["metadata"]["namespace"]):
        if instance["spec"].get("gpu") is not None and instance["spec"].get("autoscaling"):
            yield reference(instance)


def _of_pod(manifest: Manifest, relations: Relations) -> Iterator[Reference]:
    labels = manifest["metadata"].get("labels") or {}
    of = {"ShimmyModel": names.LABEL_MODEL, "ShimmyInstance": names.LABEL_INSTANCE_OF}
    kind = "ShimmyModel" if labels.get(names.LABEL_COMPONENT) == names.FETCH else "ShimmyInstance"
    for owner in relations.store.within(kind, manifest["metadata"]["namespace"]):
        if names.bounded(owner["metadata"]["name"]) == labels.get(of[kind]):
            yield reference(owner)


_BY_KIND: Final[dict[str, Callable[[Manifest, Relations], Iterator[Reference]]]] = {
    "Namespace": _of_namespace,
    "PersistentVolumeClaim": _of_claim,
    "Pod": _of_pod,
    "Deployment": _of_deployment,
    "HorizontalPodAutoscaler": _of_autoscaler,
    "ResourceQuota": _of_quota,
}
