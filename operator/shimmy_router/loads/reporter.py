"""Tells the metrics server the load of each Deployment that load decides on, every second."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

import aiohttp

from shimmy_api.load import PodLoad
from shimmy_router.fleet import Model
from shimmy_router.loads.rates import Rate, Rates
from shimmy_router.loads.report import ModelLoad, report
from shimmy_router.loads.sender import MeterAddress, Sender
from shimmy_router.wake.holds import Holds

_SECONDS: Final = 1.0
_NO_RATE: Final = Rate()


class Reporter:
    """Gathers and sends."""

    def __init__(
        self,
        router: str,
        holds: Holds,
        rates: Rates,
        work: Callable[[Model], dict[str, PodLoad]],
        closed: Callable[[str], bool],
    ) -> None:
        """`work` tells what the pods of a model have to do, by name.

        `closed` tells whether Envoy sends no request to a cluster that the agent was not asked for.
        """
        self._router = router
        self._holds = holds
        self._rates = rates
        self._work = work
        self._closed = closed
        self._looked = time.monotonic()

    async def run(self, meter: MeterAddress) -> None:
        """Report until this is cancelled."""
        async with aiohttp.ClientSession() as session:
            sender = Sender(meter, session)
            while True:
                began = time.monotonic()
                await sender.send(report(self._router, list(self._loads())))
                await asyncio.sleep(max(_SECONDS - (time.monotonic() - began), 0.0))

    def _loads(self) -> Iterator[ModelLoad]:
        now = time.monotonic()
        seconds, self._looked = max(now - self._looked, _SECONDS / 2), now
        rates = self._rates.take()
        for namespace, model in self._holds.models():
            rate = rates.get(model.cluster, _NO_RATE)
            yield ModelLoad(
                namespace,
                model,
                self._work(model),
                held=self._holds.held(model.cluster),
                holding=model.asleep and self._closed(model.cluster),
                tokens_per_second=rate.tokens / seconds,
                first_byte_seconds=rate.first_byte_seconds,
            )
