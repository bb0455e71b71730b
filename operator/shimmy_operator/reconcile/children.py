"""Brings child objects to what was rendered, with one write each, and none where nothing differs."""

from collections.abc import Callable, Collection

from shimmy_api import names
from shimmy_operator.cluster.errors import AlreadyExistsError, ConflictError, InvalidError
from shimmy_operator.cluster.resources import RESOURCES, Manifest, Reference, reference
from shimmy_operator.reconcile.compare import differs
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.render.metadata import stamped
from shimmy_operator.render.secrets import encoded


async def ensure(environment: Environment, rendered: Manifest) -> Manifest:
    """Apply a child if the one that is there differs, and return it as it then is.

    A child that is being deleted is left alone: its end brings the owner's reconciliation about.
    """
    wanted = stamped(rendered)
    live = environment.store.find(reference(wanted))
    if live is not None and (is_going(live) or not differs(wanted, live)):
        return live
    return await _apply(environment, wanted, live)


async def ensure_scaled(environment: Environment, rendered: Manifest, least: int) -> Manifest:
    """The same for a Deployment whose number of pods others decide: `least` when it is made, and then what it is.

    Raises:
        ConflictError: the number may have changed just now; try again.
    """
    wanted = stamped(rendered)
    key = reference(wanted)
    live = environment.store.find(key) or await environment.cluster.read(key)
    if live is None:
        return await _apply(environment, _with_replicas(wanted, least), None)
    if is_going(live) or not differs(wanted, live):
        return live
    # A field that its manager stops applying falls to its default, unless another manager has it.
    replicas = int(live["spec"].get("replicas", 1))
    identity = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    held = {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"], "metadata": identity}
    await environment.cluster.apply(_with_replicas(held, replicas), names.SCALER)
    return await _apply(environment, wanted, live, _with_replicas(wanted, replicas))


def _with_replicas(manifest: Manifest, replicas: int) -> Manifest:
    return {**manifest, "spec": {**manifest.get("spec", {}), "replicas": replicas}}


async def _apply(
    environment: Environment, wanted: Manifest, live: Manifest | None, whole: Manifest | None = None
) -> Manifest:
    """Apply; where that is refused, put `whole` in the place of all that is there."""
    try:
        applied = await environment.cluster.apply(wanted)
    except InvalidError:
        if live is None or "spec" not in wanted:
            raise
        # Somebody added what does not go together with ours, such as a second port of the same name.
        await environment.cluster.replace_spec(whole or wanted)
        applied = await environment.cluster.apply(wanted)
    environment.store.put(applied)
    return applied


async def ensure_created(environment: Environment, rendered: Manifest) -> Manifest:
    """The same for an object that is never taken over: if it exists unexpectedly, look again.

    Raises:
        ConflictError: somebody made the object just now.
    """
    wanted = stamped(rendered)
    if environment.store.find(reference(wanted)) is not None:
        return await ensure(environment, rendered)
    try:
        created = await environment.cluster.create(wanted)
    except AlreadyExistsError as error:
        raise ConflictError(f"{reference(wanted)} was made just now") from error
    environment.store.put(created)
    return created


async def ensure_secret(environment: Environment, rendered: Manifest, entry: str, make: Callable[[], str]) -> Manifest:
    """A Secret with one random entry, which is made with the Secret and never again while the Secret exists."""
    wanted = stamped(rendered)
    live = environment.store.find(reference(wanted))
    if live is None:
        try:
            live = await environment.cluster.create({**wanted, "data": {entry: encoded(make())}})
        except AlreadyExistsError:
            # Without our labels the watch does not show it; applying adds them.
            live = await environment.cluster.apply(wanted)
        environment.store.put(live)
    return await ensure(environment, rendered)


async def prune(environment: Environment, kind: str, namespace: str, owner_uid: str, keep: Collection[str]) -> None:
    """Delete the children of an owner that are not wanted any more."""
    for child in environment.store.within(kind, namespace):
        if child["metadata"]["name"] not in keep and is_owned(child, owner_uid) and not is_going(child):
            await delete(environment, child)


async def delete(environment: Environment, child: Manifest) -> None:
    """Delete a child."""
    await environment.cluster.delete(reference(child), child["metadata"]["uid"])


def is_owned(child: Manifest, owner_uid: str) -> bool:
    """Whether an object has this owner."""
    return any(owner["uid"] == owner_uid for owner in child["metadata"].get("ownerReferences") or ())


def is_going(manifest: Manifest) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in manifest["metadata"]


def owner_reference(kind: str, child: Manifest) -> Reference | None:
    """The object of a kind that owns a child."""
    for owner in child["metadata"].get("ownerReferences") or ():
        if owner["kind"] == kind:
            namespace = child["metadata"].get("namespace") if RESOURCES[kind].namespaced else None
            return Reference(kind, namespace, owner["name"])
    return None
