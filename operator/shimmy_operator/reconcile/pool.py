"""The pods of an instance, and how those of one placement take over a model from those of the other."""

from collections.abc import Mapping
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.instance import ServedModel, ShimmyInstanceSpec
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.children import ensure, ensure_scaled, is_going
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.service import render_service
from shimmy_operator.status import instance as status

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods that can serve a model: the labels that select them, and their Deployment if there is one."""

    selector: dict[str, str]
    deployment: Manifest | None


@dataclass(frozen=True, slots=True)
class Taken:
    """How a model is served after a step of taking it over."""

    model: ServedModel
    new: bool
    """Whether requests go to the new pods."""
    old: bool
    """Whether requests still go to the old pods."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """The children of an instance, as they shall be now."""

    models: list[ServedModel]
    replicas: int
    """Pods that each Deployment of the placement is told to run."""
    keep: Mapping[str, set[str]]
    """Names of the wanted children, by kind."""

    @property
    def deployments(self) -> set[str]:
        """Names of the wanted Deployments."""
        return self.keep["Deployment"]


@dataclass(frozen=True, slots=True)
class Pool:
    """An instance in its tenant's namespace."""

    environment: Environment
    tenant: str
    namespace: str
    owner: Owner
    spec: ShimmyInstanceSpec
    least: int | None = None
    """Pods that a new Deployment begins with where load decides; None where `spec.replicas` does."""

    async def ensure_deployment(self, rendered: Manifest) -> Manifest:
        """Have a Deployment."""
        if self.least is None:
            return await ensure(self.environment, rendered)
        return await ensure_scaled(self.environment, rendered, self.least)

    def deployment(self, name: str) -> Manifest | None:
        """A Deployment that is there to stay."""
        found = self.environment.store.get("Deployment", self.namespace, name)
        return None if found is None or is_going(found) else found

    @property
    def slots(self) -> Pods:
        """The pods that all models share."""
        return Pods(names.slot_labels(self.owner.name), self.deployment(names.slots(self.owner.name)))

    def own(self, model: str) -> Pods:
        """The pods of one model."""
        name = self.owner.name
        return Pods(names.selector_labels(name, model), self.deployment(names.serving(name, model)))

    def selected(self, model: str) -> Labels | None:
        """Labels of the pods that get the requests for a model now; None if it has no Service."""
        service = self.environment.store.get("Service", self.namespace, names.serving(self.owner.name, model))
        return None if service is None else dict(service["spec"].get("selector") or {})

    async def take_over(self, model: str, new: Pods, old: Pods, waits_for: str, *, at_once: bool) -> Taken:
        """Send the requests for a model to its new pods when all of them are ready, and to the old ones until then.

        `at_once` gives a model that nobody serves its Service before its pods are ready. `waits_for` says what the
        model's file lacks, empty if nothing.
        """
        selected = self.selected(model)
        served = old.deployment is not None and selected == old.selector
        if new.deployment is None:
            arrived = False
        else:
            arrived = status.settled(new.deployment) or (not served and (at_once or selected is not None))
        if arrived or served:
            selector = new.selector if arrived else old.selector
            await ensure(self.environment, render_service(self.tenant, self.namespace, self.owner, model, selector))
        if arrived or not (served or new.deployment):
            found = status.served_model(model, waits_for, new.deployment, self.alive(new))
        else:
            before = old.deployment if served else None
            found = status.moving_model(model, waits_for, new.deployment, self.alive(new), before)
        return Taken(found, new=arrived, old=served and not arrived)

    def alive(self, pods: Pods) -> list[Manifest]:
        """Those of the pods that are there to stay."""
        return [
            pod
            for pod in self.environment.store.within("Pod", self.namespace)
            if pods.selector.items() <= (pod["metadata"].get("labels") or {}).items() and not is_going(pod)
        ]
