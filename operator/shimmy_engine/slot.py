"""The one place for a model in this runner, and how another model gets into it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
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
    ) -> None:
        """`models` may be loaded by name, `first` is served from the start; `start_seconds` is the longest load."""
        self.models = models
        self.served = first
        self.target: str | None = None
        """The model that is being loaded, where one is."""
        self._prepare = prepare
        self._gate = gate
        self._start_seconds = start_seconds
        self._engine: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def model(self) -> str:
        """Name of the model that is served now."""
        return self.served.settings.name

    def holds(self, model: str) -> bool:
        """Whether a request for this model may wait here."""
        return model == (self.target or self.model)

    async def run(self) -> None:
        """Keep the served model's engine running until cancelled; a process of our own is gone when this ends."""
        try:
            while True:
                self._changed.clear()
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
        if self.target is not None:
            raise SwapBusyError(self.target)
        begin, before = time.monotonic(), self.served
        if model == self.model:
            return Swap(model, model, 0.0)
        self.target = model
        try:
            wanted = await asyncio.to_thread(self._prepare, self.models[model])
            self._gate.evict(but=model)
            await self._gate.enter_first()
            try:
                await self._replace(wanted, before)
            finally:
                self._gate.leave()
        finally:
            self.target = None
        swap = Swap(before.settings.name, model, time.monotonic() - begin)
        log.info("swapped %s for %s in %.1f s", swap.before, swap.now, swap.seconds)
        return swap

    async def _replace(self, wanted: Served, before: Served) -> None:
        await self._serve(wanted)
        if await self._comes_up(wanted):
            return
        why = wanted.supervisor.problem
        log.warning("%s cannot be loaded, %s comes back: %s", wanted.settings.name, before.settings.name, why)
        await self._serve(before)
        await before.supervisor.wait_ready(self._start_seconds)
        raise SwapFailedError(why)

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
        self._changed.set()

    async def _end_engine(self) -> None:
        if self._engine:
            self._engine.cancel()
            with suppress(asyncio.CancelledError):
                await self._engine
