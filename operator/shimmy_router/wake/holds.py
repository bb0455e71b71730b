"""Holds requests for models that have no pod, has the models woken, and lets the requests go on when there is one."""

import asyncio
import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from shimmy_api import errors
from shimmy_api.errors import ApiError
from shimmy_api.headers import WAIT
from shimmy_router.fleet import Hold, Model, Tenant
from shimmy_router.processing import Admitted, Call, Refused
from shimmy_router.wake.metrics import WakeMetrics
from shimmy_router.wake.turns import Turns
from shimmy_router.xds.endpoints import NO_LOADS, Loads, address

_STEP_SECONDS: Final = 0.05
"""Between two looks while requests wait: at what pods have to do, and whether they could be woken."""
_ON_THE_WAY_SECONDS: Final = 0.3
"""In which a request that may go on should have come to a pod, and the pod have told of it."""
_UNKNOWN_START_SECONDS: Final = 10
"""What a client is told to wait for a model of which no start was seen."""
_ONE_PER_POD: Final = 1
"""Requests that a pod runs at a time."""

Waiting = asyncio.Future[None]


class Wake(Protocol):
    """Makes models have a pod."""

    def wake(self, namespace: str, model: Model) -> None:
        """See to it that there is one: now, or again if the last time is long ago. Returns at once."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A model of whose pods load decides."""

    namespace: str
    model: Model
    hold: Hold


class Holds:
    """All requests that this router holds."""

    def __init__(
        self,
        wake: Wake,
        metrics: WakeMetrics,
        reachable: Callable[[str], bool],
        loads: Callable[[Model], Loads] = lambda _: NO_LOADS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reachable` tells whether Envoy has the pods of a cluster as they are now, `loads` how occupied they are."""
        self._wake = wake
        self._metrics = metrics
        self._reachable = reachable
        self._loads = loads
        self._clock = clock
        self._owned: dict[str, set[str]] = {}
        self._targets: dict[str, _Target] = {}
        """By cluster."""
        self._bounds: dict[str, int] = {}
        self._turns: dict[str, Turns[Waiting]] = {}
        """By cluster, where requests wait."""
        self._began: dict[str, float] = {}
        """Since when requests wait there."""
        self._by_tenant: Counter[str] = Counter()
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)
        """When requests went on, by cluster."""
        self._some = asyncio.Event()

    def follow(self, name: str, tenant: Tenant | None) -> None:
        """The tenant is so from now on, or is gone."""
        own = {m.cluster: m for m in tenant.models if m.hold and not m.shared} if tenant else {}
        for cluster in self._owned.pop(name, set()) - own.keys():
            self._metrics.forget(self._targets.pop(cluster).model)
        for cluster, model in own.items():
            if tenant and model.hold:
                self._targets[cluster] = _Target(tenant.namespace, model, model.hold)
        if own:
            self._owned[name] = set(own)
        bound = tenant.limits.held if tenant else None
        self._bounds.pop(name, None)
        if bound is not None:
            self._bounds[name] = bound

    def models(self) -> Iterator[tuple[str, Model]]:
        """Those on whose pods load decides, each with its namespace."""
        for target in self._targets.values():
            yield target.namespace, target.model

    def held(self, cluster: str) -> int:
        """How many requests wait for pods of this cluster."""
        return len(self._turns.get(cluster, ()))

    async def decide(self, call: Call) -> Admitted | Refused:
        """Let a request go on when a pod can take it.

        One whose model is not known here goes on: its route is older than what the agent knows.
        """
        target = self._targets.get(call.hold)
        if target is None or self._open(target):
            return Admitted()
        self._rouse(target)
        if call.stands_in:
            return Admitted()
        if error := self._full(call, target):
            return self._refused(target, error)
        try:
            return await self._hold(call, target)
        finally:
            if call.hold not in self._targets:  # the model went meanwhile, and its series with it
                self._metrics.forget(target.model)

    def release(self) -> None:
        """Let go on what pods can take."""
        for cluster, turns in list(self._turns.items()):
            target = self._targets.get(cluster)
            if target is None:  # Envoy has been told, or will be, that the model is gone
                free = len(turns)
            elif self._open(target):
                free = self._free(target)
            else:
                self._rouse(target)
                continue
            for _ in range(min(free, len(turns))):
                self._sent[cluster].append(self._clock())
                waiting = turns.take()
                if not waiting.done():
                    waiting.set_result(None)

    async def run(self) -> None:
        """Let requests go on as pods can take them; ends only by cancellation."""
        while True:
            await self._some.wait()
            self.release()
            if not self._turns:
                self._some.clear()
                self._sent.clear()
            await asyncio.sleep(_STEP_SECONDS)

    async def _hold(self, call: Call, target: _Target) -> Admitted | Refused:
        began = self._clock()
        waiting = asyncio.get_running_loop().create_future()
        self._put(call, waiting, target)
        try:
            async with asyncio.timeout(target.hold.seconds):
                await waiting
        except TimeoutError:
            return self._refused(target, errors.MODEL_WAKING)
        except asyncio.CancelledError:
            self._metrics.ended(target.model, "left")
            raise
        finally:
            self._drop(call, waiting, target)
        seconds = self._clock() - began
        self._metrics.admitted(target.model, seconds)
        return Admitted({WAIT: f"{seconds:.3f}"})

    def _open(self, target: _Target) -> bool:
        return target.model.ready and self._reachable(target.model.cluster)

    def _free(self, target: _Target) -> int:
        """Requests that the model's pods can take now."""
        loads, now, sent = self._loads(target.model), self._clock(), self._sent[target.model.cluster]
        while sent and now - sent[0] > _ON_THE_WAY_SECONDS:
            sent.popleft()
        most = target.model.queue_depth + _ONE_PER_POD
        rooms = (most - loads.get(address(pod), 0) for pod in target.model.endpoints if not pod.draining)
        return sum(int(room) for room in rooms if room > 0) - len(sent)

    def _full(self, call: Call, target: _Target) -> ApiError | None:
        if not target.hold.seconds:
            return errors.MODEL_WAKING
        bound = self._bounds.get(call.tenant)
        if self.held(call.hold) >= target.hold.most or (bound is not None and self._by_tenant[call.tenant] >= bound):
            return errors.TOO_MANY_HELD
        return None

    def _refused(self, target: _Target, error: ApiError) -> Refused:
        self._metrics.ended(target.model, error.code)
        now = self._clock()
        waited = now - self._began.get(target.model.cluster, now)
        left = (target.hold.cold_seconds or _UNKNOWN_START_SECONDS) - waited
        return Refused(error, {"retry-after": str(max(math.ceil(left), 1))})

    def _rouse(self, target: _Target) -> None:
        if not target.model.ready:
            self._wake.wake(target.namespace, target.model)

    def _put(self, call: Call, waiting: Waiting, target: _Target) -> None:
        self._turns.setdefault(call.hold, Turns()).add(call.tenant, waiting)
        self._began.setdefault(call.hold, self._clock())
        self._by_tenant[call.tenant] += 1
        self._metrics.holding(target.model, self.held(call.hold))
        self._some.set()

    def _drop(self, call: Call, waiting: Waiting, target: _Target) -> None:
        self._by_tenant[call.tenant] -= 1
        if not self._by_tenant[call.tenant]:
            del self._by_tenant[call.tenant]
        turns = self._turns.get(call.hold)
        if turns is None:
            return
        turns.remove(call.tenant, waiting)
        self._metrics.holding(target.model, len(turns))
        if not len(turns):
            del self._turns[call.hold]
            del self._began[call.hold]
