"""Keeps one Shimmy server running and knows whether it can answer."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from shimmy_engine.device import CPU, Device
from shimmy_engine.failures import EngineFailedError, NoGpuError
from shimmy_engine.plan import Plan
from shimmy_engine.report import TERMINATION_LOG, write_report
from shimmy_engine.settings import Limits
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
_LOOK: Final = 5.0
"""Seconds between two looks at the process's memory."""


class Server(Protocol):
    """A Shimmy server: a process of the runner's own, or one that it has adopted."""

    base_url: str
    device: Device | None
    exited: asyncio.Task[str]

    def memory(self) -> int:
        """Bytes of memory of its own, 0 where unknown."""

    async def stop(self) -> None:
        """Be done with it."""


class Supervisor:
    """Starts, warms up, watches and restarts the server until it is told to stop."""

    def __init__(
        self,
        start: Callable[[], Awaitable[Server]],
        chosen: Plan,
        limits: Limits,
        *,
        require_gpu: bool,
    ) -> None:
        """`start` makes a new server; it raises OSError or EngineFailedError where it cannot."""
        self.restarts = 0
        """Starts after the first one."""
        self.gave_up = False
        """Whether no start in a long row led to an answer; a new pod may do better."""
        self.problem = "the engine has not started yet"
        """Why it is not ready, for people."""
        self.start_seconds = 0.0
        """What the last start took, from nothing to the first answer; 0 before it."""
        self.memory = 0
        """Bytes of memory of the server's own when it was looked at last."""
        self.failed = asyncio.Event()
        """Set once a start has led to no answer."""
        self.changed: Callable[[], None] = lambda: None
        """Called whenever it becomes ready, or is so no more."""
        self.oversized = asyncio.Event()
        """Set while the server uses more memory than it may."""
        self._start = start
        self._limits = limits
        self._plan = chosen
        self._require_gpu = require_gpu
        self._server: Server | None = None
        self._upstream: Upstream | None = None
        self._ready = asyncio.Event()
        self._restart = asyncio.Event()
        self._failed_starts = 0
        self._reason = ""
        self._delay = _FIRST_DELAY

    @property
    def ready(self) -> bool:
        """Whether the server has answered a known prompt and still runs."""
        return self._ready.is_set()

    @property
    def device(self) -> Device | None:
        """What the model is computed on, as far as the server has told."""
        told = self._server.device if self._server else None
        return told or (CPU if self.ready and self._plan.release.quirks.line == "llama" else None)

    async def upstream(self) -> Upstream:
        """The ready server's client, awaited for a bounded time.

        Raises:
            EngineFailedError: it is not ready, and did not become so in that time.
        """
        await self.wait_ready(0 if self.gave_up else self._limits.ready_wait)
        if not self._upstream or not self.ready:
            raise EngineFailedError(self.problem)
        return self._upstream

    async def wait_ready(self, seconds: float) -> None:
        """Return when the server is ready, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()

    def restart(self, why: str) -> None:
        """Kill the server and start another one; its model is not ready meanwhile."""
        log.warning("restarting the engine: %s", why)
        self.problem = why
        self._ready.clear()
        self.changed()
        self._restart.set()

    async def verify(self) -> None:
        """After a failed generation: find out whether the engine still works, and restart it where it does not.

        A panic in a forward pass leaves 2.6 unable to answer anything until it is restarted, with /health at 200.
        """
        suspect = self._upstream
        if not suspect:
            return
        try:
            await warm_up(suspect, self._plan.release.quirks, patience=min(self._limits.stall, _VERIFY))
        except EngineFailedError as error:
            if self._upstream is suspect:
                self.restart(f"a known-good prompt failed after a failure: {error}")

    async def run(self) -> None:
        """Run until cancelled; a process of our own is gone when this ends."""
        while True:
            await self._live()
            if self._failed_starts >= self._limits.failed_starts and not self.gave_up:
                self.gave_up = True
                log.error("giving up: %d starts in a row without an answer", self._failed_starts)
                write_report(TERMINATION_LOG, {"reason": self._reason, "message": self.problem})
            await asyncio.sleep(self._delay)
            self._delay = min(self._delay * 2, _LONGEST_DELAY)
            self.restarts += 1

    async def _live(self) -> None:
        """One server from start to end."""
        self._restart.clear()
        self._failed_starts += 1
        begin = time.monotonic()
        try:
            server = await self._start()
        except OSError as error:
            self._fail(EngineFailedError(f"the engine's program cannot be started: {error.strerror}"))
            return
        except EngineFailedError as error:
            self._fail(error)
            return
        upstream = Upstream(server.base_url, self._plan, stall=self._limits.stall)
        self._server = server
        try:
            await self._warm_up(server, upstream)
            self.start_seconds = time.monotonic() - begin
            await self._watch(server, upstream)
        except EngineFailedError as error:
            self._fail(error)
        finally:
            self._ready.clear()
            self.changed()
            self._upstream = self._server = None
            await server.stop()
            await upstream.aclose()

    async def _warm_up(self, server: Server, upstream: Upstream) -> None:
        await wait_listening(upstream, server.exited, _LISTEN)
        await warm_up(upstream, self._plan.release.quirks, patience=self._limits.start)
        if self._require_gpu and (self.device or CPU).kind == "cpu":
            raise NoGpuError("the engine took a software renderer although a GPU is required")
        device = self.device
        log.info("the engine is ready: context %d tokens, on %s", self._plan.context, device.name if device else "?")

    async def _watch(self, server: Server, upstream: Upstream) -> None:
        """Hold the server ready until it ends or has to."""
        self._failed_starts, self.gave_up, self.problem = 0, False, ""
        self._upstream = upstream
        self._ready.set()
        self.changed()
        since = time.monotonic()
        asked = asyncio.create_task(self._restart.wait())
        try:
            ended: set[asyncio.Task[str] | asyncio.Task[bool]] = set()
            while not ended:
                self._look(server)
                ended, _ = await asyncio.wait(
                    (server.exited, asked), timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            asked.cancel()
            self.oversized.clear()
        if time.monotonic() - since > _STEADY:
            self._delay = _FIRST_DELAY
        if server.exited.done():
            raise EngineFailedError(server.exited.result())

    def _look(self, server: Server) -> None:
        self.memory = server.memory()
        if self._limits.memory and self.memory > self._limits.memory:
            self.oversized.set()

    def _fail(self, error: EngineFailedError) -> None:
        self.problem = str(error)
        self._reason = "NoGpu" if isinstance(error, NoGpuError) else "EngineFailed"
        self.failed.set()
        log.warning("%s", error)
