"""Carries out what load asks for: bursts, sleep, and which pods go first."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
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
    SHRINK_SECONDS,
    Rest,
    Routers,
    all_hold,
    all_listen,
    burst,
    deletion_costs,
    is_due,
    is_settled,
    load_now,
    rest,
    shrinks,
    unused,
)
from shimmy_operator.status import instance as status
from shimmy_operator.status.pods import ready_seconds

_LOG = logging.getLogger(__name__)
_COST_SECONDS: Final = 60.0
_BREATH: Final = 500
_WRITES: Final = 8
"""At the same time."""
_ENDED: Final = frozenset({"Succeeded", "Failed"})


Action = Callable[[], Awaitable[None]]


class Scaler:
    """Acts on the load of every Deployment that load decides over."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._rests: dict[Reference, Rest] = {}
        self._costs: dict[Reference, float] = {}
        self._busy: dict[Reference, float] = {}
        self._heard: float | None = None

    async def act(self, totals: LoadTotals, now: float) -> None:
        """Do what the loads ask for; `now` is in seconds of a clock that only goes on."""
        if self._heard is not None and now - self._heard > PEAK_SECONDS:
            self._rests.clear()  # what happened meanwhile nobody knows
        self._heard = now
        scaling, loads = self._environment.scaling, {_key(total): total for total in totals.totals}
        scaling.peaks = {key: total.peak for key, total in loads.items() if key in scaling.ruled}
        self._rests = {key: found for key, found in self._rests.items() if key in scaling.ruled}
        self._busy = {key: time for key, time in self._busy.items() if key in scaling.ruled}
        self._costs = {pod: time for pod, time in self._costs.items() if now - time < _COST_SECONDS}
        routers = _RouterPods(self._environment, totals.routers)
        actions: list[tuple[Reference, Action]] = []
        for number, (key, ruled) in enumerate(list(scaling.ruled.items())):
            if number % _BREATH == 0:
                await asyncio.sleep(0)  # thousands take a while: others have their turn
            deployment = self._environment.store.find(key)
            if deployment is not None and not is_going(deployment):
                look = _Look(key, deployment, ruled, loads.get(key), status.wanted(deployment), now)
                actions += [(key, action) for action in (*self._follow(look), *self._rest(look, routers))]
        turns = asyncio.Semaphore(_WRITES)
        await asyncio.gather(*(_carry_out(key, action, turns) for key, action in actions))

    def lose(self) -> None:
        """Nobody tells the load any more: who was idle is ready."""
        scaling = self._environment.scaling
        scaling.peaks = {}
        for key in list(scaling.idle):
            self._wake(key)

    def _follow(self, look: "_Look") -> Iterator[Action]:
        """Answer a burst, or say which pods have the least to do before some go."""
        environment, rule, total = self._environment, look.ruled.rule, look.total
        if total is None or look.replicas == 0:
            return
        autoscaler = environment.store.get(KIND, look.key.namespace, look.key.name)
        share = look.replicas if autoscaler is None else int(autoscaler["spec"]["maxReplicas"])
        asked = decisions.wanted(total.peak, rule.target_percent)
        before = environment.scaling.asked.get(look.key, 0)
        if asked != before and (asked > share or asked == 0):
            environment.later(look.ruled.instance, 0)  # for another share, or to give way
        environment.scaling.asked[look.key] = asked
        number = burst(rule, look.replicas, share, total.peak)
        if number is not None:
            message = f"{look.replicas} to {number}: the load is {total.peak}, which asks for {asked}."
            yield self._set(look, number, decisions.BURST, message)
        elif self._shrinks(look, total, share):
            yield from self._costs_told(look, total)

    def _shrinks(self, look: "_Look", total: DeploymentTotal, share: int) -> bool:
        """Whether the autoscaler takes pods away within seconds."""
        rule = look.ruled.rule
        if not shrinks(rule, look.replicas, share, load_now(total)):
            self._busy[look.key] = look.now
            return False
        busy = self._busy.setdefault(look.key, look.now)
        return look.now - busy >= SHRINK_SECONDS or shrinks(rule, look.replicas, share, total.peak)

    def _costs_told(self, look: "_Look", total: DeploymentTotal) -> Iterator[Action]:
        costs = deletion_costs(total)
        for pod in _pods(self._environment, look.deployment):
            cost = costs.get(pod["metadata"]["name"])
            if cost is None or is_going(pod) or reference(pod) in self._costs:
                continue
            told = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_DELETION_COST, "0")
            if told != str(cost):
                self._costs[reference(pod)] = look.now
                annotations = {names.ANNOTATION_DELETION_COST: str(cost)}
                yield partial(self._environment.cluster.annotate, reference(pod), annotations)

    def _rest(self, look: "_Look", routers: "_RouterPods") -> Iterator[Action]:
        """Let the last pod go when nobody needs it."""
        environment, rule, total = self._environment, look.ruled.rule, look.total
        found = rest(self._rests.get(look.key, Rest()), rule, total, look.now, awake=look.replicas > 0)
        may_go = rule.least == 0 and look.replicas == 1 and is_due(found, rule, look.now)
        refused = may_go and status.refused(look.deployment) > 0 and not _pods(environment, look.deployment)
        if total is not None and may_go and unused(total, _ready_pods(environment, look.deployment), refused=refused):
            serving = routers.serving(look.deployment)
            told = refused or _is_told(environment, look.ruled)
            if is_settled(found, look.now) and told and all_hold(serving, total):
                seconds = round(look.now - (found.since or look.now))
                message = f"1 to 0: nobody asked for {seconds} s, and all routers hold ({len(serving.needed)})."
                yield self._set(look, 0, decisions.IDLE, message)
            may_go = all_listen(serving)
        else:
            may_go = False
        if may_go and found.idle is None:
            found = replace(found, idle=look.now)
        elif not may_go and found.idle is not None:
            found = replace(found, idle=None)
        self._rests[look.key] = found
        if found.idle is None:
            self._wake(look.key)
        elif look.key not in environment.scaling.idle:
            environment.scaling.idle.add(look.key)
            environment.later(look.ruled.instance, 0)

    def _set(self, look: "_Look", replicas: int, reason: str, message: str) -> Action:
        return partial(
            set_replicas, self._environment, look.deployment, replicas, look.ruled.rule.model, reason, message
        )

    def _wake(self, key: Reference) -> None:
        scaling = self._environment.scaling
        if key in scaling.idle:
            scaling.idle.discard(key)
            if key in scaling.ruled:
                self._environment.later(scaling.ruled[key].instance, 0)


@dataclass(frozen=True, slots=True)
class _Look:
    """A Deployment as it is now."""

    key: Reference
    deployment: Manifest
    ruled: Ruled
    total: DeploymentTotal | None
    replicas: int
    now: float


async def _carry_out(key: Reference, action: Action, turns: asyncio.Semaphore) -> None:
    async with turns:
        try:
            await action()
        except (ConflictError, NotFoundError):
            return  # it has just changed: the next look is a second away
        except ClusterError as error:
            _LOG.warning("%s is not scaled now: %s", key, error)


class _RouterPods:
    """The routers that have a pod, by namespace, as they are when somebody asks first."""

    def __init__(self, environment: Environment, heard: Iterable[str]) -> None:
        self._environment = environment
        self._heard: defaultdict[str, set[str]] = defaultdict(set)
        for name in heard:
            self._heard[name.partition("/")[0]].add(name)

    def serving(self, deployment: Manifest) -> Routers:
        """Those that serve the tenant of a Deployment."""
        home = self._environment.router_namespace_of(deployment["metadata"]["namespace"])
        return Routers(needed=self._pods.get(home, set()), heard=self._heard.get(home, set()))

    @cached_property
    def _pods(self) -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for pod in self._environment.store.all("Pod"):
            labels = pod["metadata"].get("labels") or {}
            if labels.get(names.LABEL_ROUTER) == "true" and pod.get("status", {}).get("phase") not in _ENDED:
                namespace = pod["metadata"]["namespace"]
                found[namespace].add(f"{namespace}/{pod['metadata']['name']}")
        return found


def _is_told(environment: Environment, ruled: Ruled) -> bool:
    """Whether the instance's status says that it is idle."""
    instance = environment.store.find(ruled.instance) or {}
    models = instance.get("status", {}).get("models") or ()
    return any(one["state"] == ModelState.IDLE and ruled.rule.model in ("", one["name"]) for one in models)


def _ready_pods(environment: Environment, deployment: Manifest) -> set[str]:
    return {pod["metadata"]["name"] for pod in _pods(environment, deployment) if ready_seconds(pod) is not None}


def _pods(environment: Environment, deployment: Manifest) -> list[Manifest]:
    selector = deployment["spec"]["selector"]["matchLabels"].items()
    return [
        pod
        for pod in environment.store.within("Pod", deployment["metadata"]["namespace"])
        if selector <= (pod["metadata"].get("labels") or {}).items()
    ]


def _key(total: DeploymentTotal) -> Reference:
    return Reference("Deployment", total.namespace, total.deployment)
