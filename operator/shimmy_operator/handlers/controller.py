"""Runs the operator: informers fill the store, changes fill the queue, workers empty it."""

import asyncio
import logging
from typing import Final

from shimmy_api import names
from shimmy_operator.cluster.errors import ClusterError
from shimmy_operator.cluster.informer import Informer
from shimmy_operator.cluster.port import Selection, Watcher
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.handlers.queue import WorkQueue
from shimmy_operator.handlers.routing import OWN_KINDS, concerned
from shimmy_operator.metrics import Metrics
from shimmy_operator.reconcile.dispatch import reconcile
from shimmy_operator.reconcile.environment import Environment

_LOG = logging.getLogger(__name__)
_WORKERS: Final = 8
_OURS: Final = f"{names.LABEL_PART_OF}={names.PART_OF}"
_LABELLED: Final = (
    "ResourceQuota",
    "NetworkPolicy",
    "ServiceAccount",
    "Secret",
    "Job",
    "CronJob",
    "Pod",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Service",
    "PodDisruptionBudget",
)


def selections(router_namespace: str) -> tuple[Selection, ...]:
    """What the operator watches."""
    return (
        *(Selection(kind) for kind in OWN_KINDS),
        # All of them: a tenant's namespace, or a model's volume, may exist without our labels.
        Selection("Namespace"),
        Selection("PersistentVolumeClaim"),
        *(Selection(kind, labels=_OURS) for kind in _LABELLED),
        # By name, so that the operator needs no right to read others.
        Selection("ConfigMap", name=names.DISCOVERY_ACCESS),
        Selection("ConfigMap", name=names.FETCH_AUTHORITIES),
        Selection("ConfigMap", namespace=router_namespace, name=names.JWKS),
        Selection("RoleBinding", name=names.DISCOVERY_ACCESS),
        Selection("RoleBinding", name=names.TENANT_ROUTER),
        Selection("RoleBinding", name=names.ROUTER_SCALE),
        # The API server's own addresses.
        Selection("EndpointSlice", namespace="default", name="kubernetes"),
    )


class Controller:
    """One operator."""

    def __init__(
        self, environment: Environment, watcher: Watcher, queue: WorkQueue, metrics: Metrics, resync_seconds: float
    ) -> None:
        self._environment = environment
        self._queue = queue
        self._metrics = metrics
        self._resync_seconds = resync_seconds
        watched = selections(environment.settings.router_namespace)
        self._informers = [Informer(watcher, selection, environment.store) for selection in watched]
        environment.store.listen(self._changed)
        environment.relations.listen(queue.add)

    @property
    def ready(self) -> bool:
        """Whether everything was listed once."""
        return all(informer.synced.is_set() for informer in self._informers)

    async def listed(self) -> None:
        """Wait until everything was listed once."""
        for informer in self._informers:
            await informer.synced.wait()

    async def run(self) -> None:
        """Work for ever; ends by cancellation, or by an error that is a fault of the program."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run())
            # What is not known yet must not be taken for missing.
            await self.listed()
            _LOG.info("watching %d kinds", len(self._informers))
            tasks.create_task(self._resync())
            for _ in range(_WORKERS):
                tasks.create_task(self._work())

    def _changed(self, manifest: Manifest) -> None:
        for key in concerned(manifest, self._environment.relations):
            self._queue.add(key)
        self._metrics.queue.set(len(self._queue))

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._resync_seconds)
            for kind in OWN_KINDS:
                for manifest in self._environment.store.all(kind):
                    self._queue.add(reference(manifest))

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            self._metrics.queue.set(len(self._queue))
            with self._metrics.seconds.labels(key.kind).time():
                await self._attempt(key)

    async def _attempt(self, key: Reference) -> None:
        try:
            await reconcile(self._environment, key)
        except ClusterError as error:
            delay = self._queue.failed(key, error.retry_after)
            self._metrics.reconciles.labels(key.kind, "failed").inc()
            _LOG.warning("%s failed, again in %.1f s: %s", key, delay, error)
        except Exception:  # noqa: BLE001 - an object that finds a fault in this program must not stop all the others
            delay = self._queue.failed(key)
            self._metrics.reconciles.labels(key.kind, "fault").inc()
            _LOG.exception("%s met a fault, again in %.1f s", key, delay)
        else:
            self._queue.done(key)
            self._metrics.reconciles.labels(key.kind, "ok").inc()
