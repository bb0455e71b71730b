"""Entry point of `shimmy-operator`."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import ClientSession

from shimmy_api import names
from shimmy_operator.cluster.kube import KubeCluster, connect
from shimmy_operator.cluster.meter import Meter
from shimmy_operator.cluster.store import Store
from shimmy_operator.handlers.certificate import keep_certificate
from shimmy_operator.handlers.controller import Controller
from shimmy_operator.handlers.queue import WorkQueue
from shimmy_operator.handlers.scaler import scale
from shimmy_operator.handlers.server import serve
from shimmy_operator.metrics import Metrics
from shimmy_operator.reconcile.certificate import CertificateKeeper
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.relations import Relations
from shimmy_operator.reconcile.router import learn_authorities
from shimmy_operator.reconcile.scaler import Scaler
from shimmy_operator.settings import Settings, parse_settings


async def run(settings: Settings) -> None:
    """Manage one cluster until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    metrics, queue = Metrics(), WorkQueue()
    async with await connect(settings.kubeconfig, settings.kube_context) as api:
        cluster, store = KubeCluster(api, metrics.count_write), Store()
        environment = Environment(
            cluster=cluster,
            store=store,
            relations=Relations(store),
            settings=settings.context,
            clock=lambda: datetime.now(UTC),
            later=queue.add_later,
        )
        controller = Controller(environment, cluster, queue, metrics, settings.resync_seconds)
        ports = (settings.metrics_port, settings.health_port)
        async with serve(settings.host, *ports, metrics.registry, lambda: controller.ready), _meter(settings) as meter:
            works = [controller.run()]
            if settings.meter_certificate:
                told = partial(learn_authorities, environment)
                keeper = CertificateKeeper(settings.meter_certificate, cluster, cluster, environment.clock, told)
                works.append(keep_certificate(keeper))
            if meter is not None:
                works.append(_scale(controller, meter, environment, metrics))
            await _until_stopped(works, stopped)


@asynccontextmanager
async def _meter(settings: Settings) -> AsyncIterator[Meter | None]:
    """The metrics server, if there is one."""
    if not settings.meter_url:
        yield None
        return
    name = f"{names.METER}.{settings.context.router_namespace}.svc"
    async with ClientSession() as session:
        yield Meter(session, settings.meter_url, settings.meter_folder, name)


async def _scale(controller: Controller, meter: Meter, environment: Environment, metrics: Metrics) -> None:
    await controller.listed()
    await scale(meter.loads, Scaler(environment), metrics)


async def _until_stopped(works: Iterable[Coroutine[Any, Any, None]], stopped: asyncio.Event) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    stop = asyncio.create_task(stopped.wait())
    done, pending = await asyncio.wait((*tasks, stop), return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run with the flags of the command line."""
    settings = parse_settings(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=settings.log_level)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
