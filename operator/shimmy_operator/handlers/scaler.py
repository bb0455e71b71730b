"""Looks at the metrics server every second, and has the load acted on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from shimmy_api.load import LoadTotals
from shimmy_operator.cluster.meter import MeterError
from shimmy_operator.metrics import Metrics
from shimmy_operator.reconcile.scaler import Scaler

_LOG = logging.getLogger(__name__)
_SECONDS: Final = 1.0


async def scale(ask: Callable[[], Awaitable[LoadTotals]], scaler: Scaler, metrics: Metrics) -> None:
    """Look for ever; ends by cancellation. While the metrics server is away, autoscalers alone scale."""
    loop = asyncio.get_running_loop()
    up: bool | None = None
    while True:
        began = loop.time()
        up = await _look(ask, scaler, metrics, up, began)
        await asyncio.sleep(max(_SECONDS - (loop.time() - began), 0))


async def _look(
    ask: Callable[[], Awaitable[LoadTotals]], scaler: Scaler, metrics: Metrics, up: bool | None, now: float
) -> bool:
    try:
        totals = await ask()
    except MeterError as error:
        if up is not False:
            _LOG.warning("the metrics server does not tell the load; autoscalers go on by themselves: %s", error)
        scaler.lose()
        metrics.meter_up.set(0)
        metrics.meter_looks.labels("failed").inc()
        return False
    if up is not True:
        _LOG.info("the metrics server tells the load; %d routers are heard", len(totals.routers))
    metrics.meter_up.set(1)
    metrics.meter_looks.labels("ok").inc()
    try:
        await scaler.act(totals, now)
    except Exception:  # noqa: BLE001 - one look that finds a fault in this program must not end all others
        _LOG.exception("a look at the load met a fault")
    return True
