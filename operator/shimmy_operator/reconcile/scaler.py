"""Carries out what load asks for: bursts, sleep, and which pods go first."""

import logging
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import Final

from shimmy_api import names
from shimmy_api.instance import ModelState
from shimmy_api.load import DeploymentTotal, LoadTotals
from shimmy_operator.cluster.errors import ClusterError, ConflictError, NotFoundError
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.reconcile.autoscale import set_replicas
from shimmy_operator.reconcile.children import is_going
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.memory import Ruled
from shimmy_operator.render.autoscaler import KIND
from shimmy_operator.scaling import decisions
from shimmy_operator.scaling.load import (
    PEAK_SECONDS,
    Rest,
    Routers,
    all_hold,
    all_listen,
    burst,
    deletion_costs,
    is_due,
    is_settled,
    rest,
    shrinks,
    unused,
)
from shimmy_operator.status import instance as status
from shimmy_operator.status.pods import ready_seconds

_LOG = logging.getLogger(__name__)
_COST_SECONDS: Final = 60.0
_ENDED: Final = frozenset({"Succeeded", "Failed"})


class Scaler:
    """Acts on the load of every Deployment that load decides over."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._rests: dict[Reference, Rest] = {}
        self._costs: dict[Reference, float] = {}
        self._heard: float | None = None

    async def act(self, totals: LoadTotals, now: float) -> None:
        """Do what the loads ask for; `now` is in seconds of a clock that only goes on."""
        if self._heard is not None and now - self._heard > PEAK_SECONDS:
            self._rests.clear()  # what happened meanwhile nobody knows
        self._heard = now
        scaling, loads = self._environment.scaling, {_key(total): total for total in totals.totals}
        scaling.peaks = {key: total.peak for key, total in loads.items() if key in scaling.ruled}
        self._rests = {key: found for key, found in self._rests.items() if key in scaling.ruled}
        self._costs = {pod: time for pod, time in self._costs.items() if now - time < _COST_SECONDS}
        routers = _RouterPods(self._environment, frozenset(totals.routers))
        for key, ruled in list(scaling.ruled.items()):
            deployment = self._environment.store.find(key)
            if deployment is None or is_going(deployment):
                continue
            try:
                await self._look(deployment, ruled, loads.get(key), routers, now)
            except (ConflictError, NotFoundError):
                continue  # it has just changed: the next look is a second away
            except ClusterError as error:
                _LOG.warning("%s is not scaled now: %s", key, error)

    def lose(self) -> None:
        """Nobody tells the load any more: who was idle is ready."""
        scaling = self._environment.scaling
        scaling.peaks = {}
        for key in list(scaling.idle):
            self._wake(key)

    async def _look(
        self,
        deployment: Manifest,
        ruled: Ruled,
        total: DeploymentTotal | None,
        routers: "_RouterPods",
        now: float,
    ) -> None:
        replicas = status.wanted(deployment)
        if total is not None and replicas > 0:
            await self._follow(deployment, ruled, total, replicas, now)
        await self._rest(deployment, ruled, total, routers, now)

    async def _follow(
        self, deployment: Manifest, ruled: Ruled, total: DeploymentTotal, replicas: int, now: float
    ) -> None:
        """Answer a burst, or say which pods have the least to do before some go."""
        environment, rule = self._environment, ruled.rule
        key = reference(deployment)
        autoscaler = environment.store.get(KIND, key.namespace, key.name)
        share = replicas if autoscaler is None else int(autoscaler["spec"]["maxReplicas"])
        asked = decisions.wanted(total.peak, rule.target_percent)
        if asked > share and environment.scaling.asked.get(key) != asked:
            environment.later(ruled.instance, 0)  # for another share
        environment.scaling.asked[key] = asked
        number = burst(rule, replicas, share, total.peak)
        if number is not None:
            message = f"{replicas} to {number}: the load is {total.peak}, which asks for {asked}."
            await set_replicas(environment, deployment, number, rule.model, decisions.BURST, message)
        elif shrinks(rule, replicas, total.peak):
            await self._tell_costs(deployment, total, now)

    async def _tell_costs(self, deployment: Manifest, total: DeploymentTotal, now: float) -> None:
        namespace = deployment["metadata"]["namespace"]
        for name, cost in deletion_costs(total).items():
            pod = self._environment.store.get("Pod", namespace, name)
            if pod is None or is_going(pod) or reference(pod) in self._costs:
                continue
            told = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_DELETION_COST, "0")
            if told != str(cost):
                self._costs[reference(pod)] = now
                await self._environment.cluster.annotate(reference(pod), {names.ANNOTATION_DELETION_COST: str(cost)})

    async def _rest(
        self,
        deployment: Manifest,
        ruled: Ruled,
        total: DeploymentTotal | None,
        routers: "_RouterPods",
        now: float,
    ) -> None:
        """Let the last pod go when nobody needs it."""
        environment, rule, key = self._environment, ruled.rule, reference(deployment)
        replicas = status.wanted(deployment)
        found = rest(self._rests.get(key, Rest()), rule, total, now, awake=replicas > 0)
        may_go = rule.least == 0 and replicas == 1 and is_due(found, rule, now)
        if total is not None and may_go and unused(total, _ready_pods(environment, deployment)):
            serving = routers.serving(deployment)
            if is_settled(found, now) and _is_told(environment, ruled) and all_hold(serving, total):
                await self._let_go(deployment, ruled, found, serving, now)
            may_go = all_listen(serving)
        else:
            may_go = False
        self._rests[key] = found = replace(found, idle=(now if found.idle is None else found.idle) if may_go else None)
        if found.idle is None:
            self._wake(key)
        elif key not in environment.scaling.idle:
            environment.scaling.idle.add(key)
            environment.later(ruled.instance, 0)

    async def _let_go(self, deployment: Manifest, ruled: Ruled, found: Rest, serving: Routers, now: float) -> None:
        seconds = round(now - found.since) if found.since is not None else 0
        count = len(serving.needed)
        message = f"1 to 0: nobody asked for {seconds} s, and all routers hold ({count})."
        await set_replicas(self._environment, deployment, 0, ruled.rule.model, decisions.IDLE, message)

    def _wake(self, key: Reference) -> None:
        scaling = self._environment.scaling
        if key in scaling.idle:
            scaling.idle.discard(key)
            if key in scaling.ruled:
                self._environment.later(scaling.ruled[key].instance, 0)


class _RouterPods:
    """The routers that have a pod, by namespace, as they are when somebody asks first."""

    def __init__(self, environment: Environment, heard: frozenset[str]) -> None:
        self._environment = environment
        self._heard = heard

    def serving(self, deployment: Manifest) -> Routers:
        """Those that serve the tenant of a Deployment."""
        home = self._environment.router_namespace_of(deployment["metadata"]["namespace"])
        needed = self._pods.get(home, set())
        others = {name for namespace, pods in self._pods.items() if namespace != home for name in pods}
        return Routers(needed=needed, others=others - needed, heard=self._heard)

    @cached_property
    def _pods(self) -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for pod in self._environment.store.all("Pod"):
            labels = pod["metadata"].get("labels") or {}
            if labels.get(names.LABEL_ROUTER) == "true" and pod.get("status", {}).get("phase") not in _ENDED:
                found[pod["metadata"]["namespace"]].add(pod["metadata"]["name"])
        return found


def _is_told(environment: Environment, ruled: Ruled) -> bool:
    """Whether the instance's status says that it is idle."""
    instance = environment.store.find(ruled.instance) or {}
    models = instance.get("status", {}).get("models") or ()
    return any(one["state"] == ModelState.IDLE and ruled.rule.model in ("", one["name"]) for one in models)


def _ready_pods(environment: Environment, deployment: Manifest) -> set[str]:
    selector = deployment["spec"]["selector"]["matchLabels"].items()
    return {
        pod["metadata"]["name"]
        for pod in environment.store.within("Pod", deployment["metadata"]["namespace"])
        if selector <= (pod["metadata"].get("labels") or {}).items() and ready_seconds(pod) is not None
    }


def _key(total: DeploymentTotal) -> Reference:
    return Reference("Deployment", total.namespace, total.deployment)
