"""The one place for a model in this runner, and how another model gets into it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from shimmy_engine.gate import Gate
from shimmy_engine.served import Served
from shimmy_engine.settings import ModelSettings

log = logging.getLogger(__name__)


class UnknownModelError(Exception):
    """The slot was told of no model of that name."""


class SwapFailedError(Exception):
    """The model could not be loaded; the one before it is back. The message says why."""


class SwapBusyError(Exception):
    """Another model is being loaded."""


@dataclass(frozen=True, slots=True)
class Swap:
    """A change that was made."""

    before: str
    now: str
    seconds: float
    """From the request to the new model's first answer; the wait for what ran is part of it."""


class Slot:
    """Serves one of its models at a time."""

    def __init__(
        self,
        models: Mapping[str, ModelSettings],
        first: Served,
        prepare: Callable[[ModelSettings], Served],
        gate: Gate,
        *,
        start_seconds: float,
        on_demand: bool,
        counted: Callable[[str, float], None],
    ) -> None:
        """`models` may be loaded by name, `first` is served from the start; `start_seconds` is the longest load.

        `on_demand` lets a request for another model change it; `counted` hears of each change: "swapped" after some
        seconds, or "failed".
        """
        self.models = models
        self.served = first
        self.on_demand = on_demand
        self.target: str | None = None
        """The model that is being loaded, where one is."""
        self.swapped = 0.0
        """When the model was changed last, in seconds since the epoch; 0 where it never was."""
        self._counted = counted
        self._prepare = prepare
        self._gate = gate
        gate.preferred = first.settings.name
        self._start_seconds = start_seconds
        self._engine: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def model(self) -> str:
        """Name of the model that is served now."""
        return self.served.settings.name

    @property
    def restarting(self) -> bool:
        """Whether the model's engine is down, and comes back by itself."""
        return self.target is None and not self.served.supervisor.ready

    def holds(self, model: str) -> bool:
        """Whether a request for this model may wait here."""
        return model in self.models if self.on_demand else model == (self.target or self.model)

    async def run(self) -> None:
        """Keep the served model's engine running until cancelled; a process of our own is gone when this ends."""
        try:
            while True:
                self._changed.clear()
                self.served.supervisor.changed = self._gate.touch
                self._engine = asyncio.create_task(self.served.supervisor.run())
                await self._changed.wait()
        finally:
            await self._end_engine()

    async def load(self, model: str) -> Swap:
        """Serve another model: what runs is finished, what waits for the old one is sent away.

        Raises:
            UnknownModelError: there is none of that name.
            GgufError: its file cannot be served.
            SwapBusyError: another one is being loaded.
            SwapFailedError: it gave no answer.
        """
        if model not in self.models:
            raise UnknownModelError(model)
        if self.target is None and model == self.model:
            return Swap(model, model, 0.0)
        begin = time.monotonic()
        async with self._aiming(model) as wanted:
            self._gate.evict(but=model)
            await self._gate.enter_first()
            try:
                return await self._replace(wanted, begin)
            finally:
                self._gate.leave()

    async def exchange(self, model: str) -> Swap:
        """Serve another model at once: the caller has the turn, and keeps it until this ends.

        Raises:
            GgufError: its file cannot be served.
            SwapBusyError: another one is being loaded.
            SwapFailedError: it gave no answer.
        """
        begin = time.monotonic()
        async with self._aiming(model) as wanted:
            return await self._replace(wanted, begin)

    @asynccontextmanager
    async def _aiming(self, model: str) -> AsyncIterator[Served]:
        """Announce what is to be loaded, and read its file before anything is given up for it."""
        if self.target is not None:
            raise SwapBusyError(self.target)
        self.target = model
        self._gate.touch()
        try:
            yield await asyncio.to_thread(self._prepare, self.models[model])
        finally:
            self.target = None
            self._gate.touch()

    async def _replace(self, wanted: Served, begin: float) -> Swap:
        before = self.served
        await self._serve(wanted)
        if not await self._comes_up(wanted):
            why = wanted.supervisor.problem
            log.warning("%s cannot be loaded, %s comes back: %s", wanted.settings.name, before.settings.name, why)
            await self._serve(before)
            await before.supervisor.wait_ready(self._start_seconds)
            self._counted("failed", 0.0)
            raise SwapFailedError(why)
        swap = Swap(before.settings.name, wanted.settings.name, time.monotonic() - begin)
        self.swapped = time.time()
        log.info("swapped %s for %s in %.1f s", swap.before, swap.now, swap.seconds)
        self._counted("swapped", swap.seconds)
        return swap

    async def _comes_up(self, wanted: Served) -> bool:
        """Whether the first start led to an answer. A model that fails once is not tried again while others wait."""
        ready = asyncio.create_task(wanted.supervisor.wait_ready(self._start_seconds))
        failed = asyncio.create_task(wanted.supervisor.failed.wait())
        try:
            await asyncio.wait((ready, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            failed.cancel()
        return wanted.supervisor.ready

    async def _serve(self, served: Served) -> None:
        await self._end_engine()
        self.served = served
        self._gate.preferred = served.settings.name
        self._changed.set()

    async def _end_engine(self) -> None:
        if self._engine:
            self._engine.cancel()
            with suppress(asyncio.CancelledError):
                await self._engine
