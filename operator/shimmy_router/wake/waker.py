"""Has the first pod of a model started, once for all requests that wait for it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from shimmy_router.fleet import Model
from shimmy_router.wake.metrics import WakeMetrics

log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 5.0
"""After which a model that still has no pod is looked after again: somebody may have taken its pod away."""
_FIRST_PAUSE: Final = 0.2
"""After a failure; twice as long after the next one."""

Start = Callable[[str, str], Awaitable[bool]]
"""Given namespace and name of a Deployment that shall have a pod, whether it had none.

Raises:
    StartError: it cannot be told to.
"""


class StartError(Exception):
    """A Deployment could not be told to have a pod."""


class Waker:
    """Keeps what was done for each model."""

    def __init__(self, start: Start, metrics: WakeMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._metrics = metrics
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def wake(self, namespace: str, model: Model) -> None:
        """See Wake in holds.py."""
        cluster = model.cluster
        if cluster in self._tasks or self._clock() < self._next.get(cluster, 0) or not model.pools:
            return
        task = asyncio.create_task(self._wake(namespace, model, self._clock()))
        self._tasks[cluster] = task
        task.add_done_callback(lambda _: self._tasks.pop(cluster, None))

    async def aclose(self) -> None:
        """Let nothing run on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wake(self, namespace: str, model: Model, began: float) -> None:
        cluster = model.cluster
        outcome = "failed"
        for pool in model.pools:
            try:
                outcome = "woken" if await self._start(namespace, pool.deployment) else "awake"
                break
            except StartError as error:
                log.warning("no pod of %s can be started: %s", cluster, error)
        now = self._clock()
        self._metrics.woken(outcome, now - began)
        if outcome == "failed":
            failures = self._failures[cluster] = self._failures.get(cluster, 0) + 1
            self._next[cluster] = now + min(_FIRST_PAUSE * 2 ** (failures - 1), _AGAIN_SECONDS)
            return
        self._failures.pop(cluster, None)
        self._next[cluster] = now + _AGAIN_SECONDS
        if outcome == "woken":
            log.info("a pod of %s is being started", cluster)
