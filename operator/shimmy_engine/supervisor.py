"""Keeps one Shimmy process running and knows whether it can answer."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shimmy_engine.failures import EngineFailedError
from shimmy_engine.gguf_header import GgufHeader
from shimmy_engine.lines import LINES, Line
from shimmy_engine.process import ShimmyProcess
from shimmy_engine.settings import EngineSettings, Limits
from shimmy_engine.templates import Family, family_of
from shimmy_engine.upstream import Upstream, wait_listening
from shimmy_engine.warmup import warm_up

log = logging.getLogger(__name__)

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 30.0
_STEADY: Final = 10.0
"""Seconds of readiness after which the next crash counts as the first one."""
_LISTEN: Final = 30.0
_VERIFY: Final = 60.0
"""Longest answer to the known prompt of an engine that has been ready before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the model's file and the settings mean for the line."""

    line: Line
    family: Family
    context: int
    """Tokens of prompt and answer together."""


def plan(settings: EngineSettings, header: GgufHeader) -> Plan:
    """Choose context and template: what the settings say, within what the file and the line can do."""
    line = LINES[settings.line]
    bounds = (settings.context or line.default_context, header.context_length, line.context_limit)
    template = settings.template or family_of(str(header.metadata.get("tokenizer.chat_template", "")))
    return Plan(line, template, min(bound for bound in bounds if bound))


class Supervisor:
    """Starts, warms up, watches and restarts the process until it is told to stop."""

    def __init__(self, settings: EngineSettings, limits: Limits, chosen: Plan) -> None:
        self.restarts = 0
        """Starts after the first one."""
        self.gave_up = False
        """Whether no start in a long row led to an answer; a new pod may do better."""
        self.problem = "the engine has not started yet"
        """Why it is not ready, for people."""
        self._settings = settings
        self._limits = limits
        self._plan = chosen
        self._upstream: Upstream | None = None
        self._ready = asyncio.Event()
        self._restart = asyncio.Event()
        self._failed_starts = 0
        self._delay = _FIRST_DELAY

    @property
    def ready(self) -> bool:
        """Whether the process has answered a known prompt and still runs."""
        return self._ready.is_set()

    async def upstream(self) -> Upstream:
        """The ready process's client, awaited for a bounded time.

        Raises:
            EngineFailedError: it is not ready, and did not become so in that time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self.gave_up else self._limits.ready_wait):
                await self._ready.wait()
        if not self._upstream or not self.ready:
            raise EngineFailedError(self.problem)
        return self._upstream

    def restart(self, why: str) -> None:
        """Kill the process and start another one; its model is not ready meanwhile."""
        log.warning("restarting the engine: %s", why)
        self.problem = why
        self._ready.clear()
        self._restart.set()

    async def verify(self) -> None:
        """After a failed generation: find out whether the engine still works, and restart it where it does not.

        A panic in a forward pass leaves 2.6 unable to answer anything until it is restarted, with /health at 200.
        """
        suspect = self._upstream
        if not suspect:
            return
        try:
            await warm_up(suspect, self._plan.line, patience=min(self._limits.stall, _VERIFY))
        except EngineFailedError as error:
            if self._upstream is suspect:
                self.restart(f"a known-good prompt failed after a failure: {error}")

    async def run(self) -> None:
        """Run until cancelled; the process is gone when this ends."""
        while True:
            await self._live()
            if self._failed_starts >= self._limits.failed_starts and not self.gave_up:
                self.gave_up = True
                log.error("giving up: %d starts in a row without an answer", self._failed_starts)
            await asyncio.sleep(self._delay)
            self._delay = min(self._delay * 2, _LONGEST_DELAY)
            self.restarts += 1

    async def _live(self) -> None:
        """One process from start to end."""
        self._restart.clear()
        self._failed_starts += 1
        stem = self._plan.line.stem(self._plan.family)
        try:
            process = await ShimmyProcess.start(self._settings, self._plan.line, stem=stem, context=self._plan.context)
        except OSError as error:
            self._fail(f"the engine's program cannot be started: {error.strerror}")
            return
        upstream = Upstream(f"http://127.0.0.1:{process.port}", self._plan.line, stem, stall=self._limits.stall)
        try:
            await self._start_and_watch(process, upstream)
        except EngineFailedError as error:
            self._fail(str(error))
        finally:
            self._ready.clear()
            self._upstream = None
            await process.stop()
            await upstream.aclose()

    async def _start_and_watch(self, process: ShimmyProcess, upstream: Upstream) -> None:
        await wait_listening(upstream, process.exited, _LISTEN)
        await warm_up(upstream, self._plan.line, patience=self._limits.start)
        if self._settings.require_gpu and "(Cpu" in process.adapter:
            raise EngineFailedError("the engine took a software renderer although a GPU is required")
        log.info("the engine is ready: context %d tokens", self._plan.context)
        self._failed_starts, self.gave_up, self.problem = 0, False, ""
        self._upstream = upstream
        self._ready.set()
        since = asyncio.get_running_loop().time()
        asked = asyncio.create_task(self._restart.wait())
        try:
            await asyncio.wait((process.exited, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if asyncio.get_running_loop().time() - since > _STEADY:
            self._delay = _FIRST_DELAY
        if process.exited.done():
            raise EngineFailedError(f"the engine's process ended with code {process.exited.result()}")

    def _fail(self, why: str) -> None:
        self.problem = why
        log.warning("%s", why)
