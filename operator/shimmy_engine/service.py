"""Gets generations done: counts, checks, waits for the turn, reads the engine to its end, keeps the accounts."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shimmy_api.errors import (
    ENGINE_FAILED,
    ENGINE_TIMEOUT,
    MODEL_NOT_FOUND,
    MODEL_NOT_LOADED,
    MODEL_UNAVAILABLE,
    MOVED,
    QUEUE_FULL,
    ApiError,
)
from shimmy_engine.abandonment import end_early
from shimmy_engine.answer import Answer
from shimmy_engine.failures import EngineFailedError, EngineRefusedError
from shimmy_engine.fair_queue import Share
from shimmy_engine.gate import EvictedError, Gate, MovedError, QueueFullError
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.journal import Journal
from shimmy_engine.metrics import Metrics
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.served import Served
from shimmy_engine.settings import Identity, Limits
from shimmy_engine.slot import Slot, SwapBusyError, SwapFailedError
from shimmy_engine.suitability import refuse_small_context, refuse_too_long, refuse_unsuitable
from shimmy_engine.templates import render_chat
from shimmy_engine.upstream import Upstream

if TYPE_CHECKING:
    from shimmy_api.usage import Outcome

_FINISH: Final = 2.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the router says."""

    request_id: str
    tenant: str
    key_id: str
    model: str
    """metadata.name of the ShimmyModel that is asked for."""
    seconds: float | None = None
    """Time in which the answer must be complete, where the router names one."""
    priority: int = 0
    weight: int = 1
    movable: bool = False
    """Whether the router takes the request back while it waits, and sends it to another pod."""

    @property
    def share(self) -> Share:
        """On whose account the request runs."""
        return Share(self.tenant, self.priority, self.weight)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is put together from."""

    identity: Identity
    limits: Limits
    slot: Slot
    gate: Gate
    journal: Journal
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as the engine will get it."""

    generation: Generation
    tokens: int | None
    """None where only the engine can count them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A generation that has its turn."""

    served: Served
    upstream: Upstream
    generation: Generation
    answer: Answer
    caller: Caller
    deadline: float
    """Monotonic time."""


class Service:
    """The model as something that can be asked."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._reading: set[asyncio.Task[None]] = set()
        self._running: Answer | None = None

    @property
    def card(self) -> ModelCard:
        """The model that is served now."""
        return self.parts.slot.served.card

    @property
    def problem(self) -> str:
        """Why no request should come here now; empty where one may."""
        supervisor, running = self.parts.slot.served.supervisor, self._running
        if self.parts.slot.target and not self.parts.slot.on_demand:
            return f"loading {self.parts.slot.target}"
        if not supervisor.ready:
            return supervisor.problem
        if running and running.last_text_at and not running.abandoned.is_set():
            silence = time.monotonic() - running.last_text_at
            if silence > self.parts.limits.quiet:
                return f"the engine has been silent for {silence:.0f} s in the middle of an answer"
        return ""

    async def open(self, generation: Generation, caller: Caller) -> Answer:
        """Wait for the turn and start the generation. Cancel this while it waits, and nothing has happened.

        Raises:
            RefusedError: the request or the state of the engine forbids it; the error says which.
        """
        self.check_model(caller.model)
        limits, arrival = self.parts.limits, time.monotonic()
        deadline = arrival + min(caller.seconds or limits.deadline, limits.deadline)
        early = self.parts.slot.served
        prompt = await self._prepare(early, generation) if early.settings.name == caller.model else None
        if prompt and prompt.tokens is not None:
            _fit(early, limits, prompt.tokens, generation.max_tokens)  # what cannot fit need not wait
        served = await self._turn(caller, deadline)
        queue_seconds = time.monotonic() - arrival
        try:
            if prompt is None or served is not early:
                prompt = await self._prepare(served, generation)
            upstream = await self._ready_upstream(served)
            tokens = prompt.tokens
            if tokens is None:
                tokens = await self._count_there(served, upstream, prompt.generation)
            answer = Answer(
                prompt_tokens=tokens,
                max_tokens=_fit(served, limits, tokens, generation.max_tokens),
                stop=generation.stop,
                queue_seconds=queue_seconds,
            )
        except BaseException:
            self.parts.gate.leave()
            raise
        run = Run(served, upstream, prompt.generation, answer, caller, deadline)
        task = asyncio.create_task(self._read(run))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return answer

    async def count(self, generation: Generation, caller: Caller) -> int:
        """Prompt tokens of a generation that nobody asks for. Where the engine counts, this waits for the turn.

        Raises:
            RefusedError: the request or the state of the engine forbids it; the error says which.
        """
        self.check_model(caller.model)
        served = self.parts.slot.served
        if served.settings.name == caller.model:
            prompt = await self._prepare(served, generation)
            if prompt.tokens is not None:
                return prompt.tokens
        served = await self._turn(caller, time.monotonic() + self.parts.limits.deadline)
        try:
            prompt = await self._prepare(served, generation)
            if prompt.tokens is not None:
                return prompt.tokens
            return await self._count_there(served, await self._ready_upstream(served), prompt.generation)
        finally:
            self.parts.gate.leave()

    def check_model(self, model: str) -> None:
        """Return where a request for the model may wait here.

        Raises:
            RefusedError: it may not; the error says whether another pod may have it.
        """
        slot = self.parts.slot
        if slot.holds(model):
            return
        if model not in slot.models:
            raise RefusedError(MODEL_NOT_FOUND)
        raise RefusedError(self._not_loaded())

    async def recycle(self) -> None:
        """Restart an engine that has grown too large, between two requests, for as long as this runs."""
        while True:
            supervisor = self.parts.slot.served.supervisor
            await supervisor.oversized.wait()
            await self.parts.gate.enter_first()
            try:
                if supervisor.ready and supervisor.oversized.is_set():
                    supervisor.restart(f"it uses {supervisor.memory} bytes of memory")
                    await supervisor.wait_ready(self.parts.limits.start)
            finally:
                supervisor.oversized.clear()
                self.parts.gate.leave()

    async def finish(self) -> None:
        """Once the engine is gone: let what was interrupted be accounted for."""
        if self._reading:
            await asyncio.wait(self._reading, timeout=_FINISH)

    async def _prepare(self, served: Served, generation: Generation) -> Prompt:
        """Check a request and count its prompt where the engine does not, in a thread: long ones take a while."""
        refuse_unsuitable(served.plan.release.quirks, generation)
        refuse_small_context(served.plan.context, generation)
        generation = served.neutraliser.apply(generation)
        refuse_too_long(served.plan.release.quirks, generation)
        if served.tokenizer is None:
            return Prompt(generation, None)
        text = render_chat(served.plan.family, generation.messages) if generation.chat else generation.prompt
        return Prompt(generation, await asyncio.to_thread(served.tokenizer.count, text))

    async def _turn(self, caller: Caller, deadline: float) -> Served:
        """Wait for the turn, and have the model loaded by then; whoever has got it has to leave the gate."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self.parts.gate.enter(caller.model, caller.share, movable=caller.movable)
        except QueueFullError as error:
            raise RefusedError(replace(QUEUE_FULL, retry_after=error.retry_after)) from error
        except EvictedError as error:
            raise RefusedError(self._not_loaded()) from error
        except MovedError as error:
            raise RefusedError(MOVED) from error
        except TimeoutError as error:
            raise RefusedError(ENGINE_TIMEOUT) from error
        try:
            if self.parts.slot.model != caller.model:
                await self._bring(caller.model)
        except BaseException:
            self.parts.gate.leave()
            raise
        return self.parts.slot.served

    async def _bring(self, model: str) -> None:
        """Another model came in meanwhile, or this one was never loaded: change it, where that is allowed."""
        if not self.parts.slot.on_demand:
            raise RefusedError(self._not_loaded())
        change = asyncio.create_task(self.parts.slot.exchange(model))
        try:
            await asyncio.shield(change)
        except asyncio.CancelledError:
            await asyncio.wait((change,))  # the client is gone, but the turn is not over before the change is
            raise
        except (GgufError, SwapBusyError, SwapFailedError) as error:
            raise RefusedError(MODEL_UNAVAILABLE) from error

    def _not_loaded(self) -> ApiError:
        slot = self.parts.slot
        what = f"loads {slot.target!r}" if slot.target else f"serves {slot.model!r}"
        message = f"The model is not loaded in this pod, which {what} now. Try again: another one may have it."
        return replace(MODEL_NOT_LOADED, message=message)

    async def _ready_upstream(self, served: Served) -> Upstream:
        try:
            return await served.supervisor.upstream()
        except EngineFailedError as error:
            raise RefusedError(MODEL_UNAVAILABLE) from error

    async def _count_there(self, served: Served, upstream: Upstream, generation: Generation) -> int:
        try:
            return await upstream.count_prompt(generation)
        except EngineRefusedError as error:
            raise RefusedError(ApiError(400, "invalid_value", "The engine cannot read this request.")) from error
        except EngineFailedError as error:
            await served.supervisor.verify()
            raise RefusedError(ENGINE_FAILED) from error

    async def _read(self, run: Run) -> None:
        """Read the engine to its end, whoever still listens: only then is it free for the next."""
        answer, loop = run.answer, asyncio.get_running_loop()
        expiry = loop.call_later(run.deadline - time.monotonic(), answer.expire)
        self._running = answer
        try:
            start = time.monotonic()
            failure = await self._consume(run)
            expiry.cancel()
            self._account(run, failure, start)
            if failure:
                answer.fail(failure)
            answer.close()
            if failure or not (answer.usage.completion_tokens or answer.abandoned.is_set()):
                # 1.8 hides its failures: a stream in which nothing came may have been one.
                await run.served.supervisor.verify()
        finally:
            expiry.cancel()
            answer.close()
            self._running = None
            self.parts.gate.leave()

    async def _consume(self, run: Run) -> EngineFailedError | None:
        """Feed the answer until the engine ends, fails, or has gone on too long without a listener."""
        try:
            async with asyncio.timeout(None) as deadline:
                watch = asyncio.create_task(self._hurry(run, deadline))
                try:
                    async for event in run.upstream.generate(run.generation, run.answer.max_tokens):
                        run.answer.feed(event)
                finally:
                    watch.cancel()
        except TimeoutError:
            run.served.supervisor.restart("it went on too long with an answer that nobody waits for")
        except EngineFailedError as error:
            return error
        return None

    async def _hurry(self, run: Run, deadline: asyncio.Timeout) -> None:
        """Once nobody waits for the answer, get the engine back: within a token, or as soon as is cheap."""
        answer, quirks = run.answer, run.served.plan.release.quirks
        await answer.abandoned.wait()
        patience = self.parts.limits.abandon
        way = "cancelled"
        if not quirks.cancels:
            way, patience = end_early(
                remaining=answer.max_tokens - answer.usage.completion_tokens,
                pace=answer.pace,
                restart=run.served.supervisor.start_seconds,
                patience=patience,
            )
        self.parts.metrics.abandoned.labels(way).inc()
        deadline.reschedule(asyncio.get_running_loop().time() + patience)
        if quirks.cancels:
            with suppress(EngineFailedError):  # it then comes to its end by itself, or is restarted in time
                await run.upstream.cancel()

    def _account(self, run: Run, failure: EngineFailedError | None, start: float) -> None:
        answer, identity = run.answer, self.parts.identity
        outcome: Outcome = "failed" if answer.expired or (failure and not answer.reason) else "completed"
        if answer.client_left:
            outcome = "cancelled"
        seconds, usage = time.monotonic() - start, answer.usage
        self.parts.journal.append(
            request_id=run.caller.request_id,
            time=datetime.now(UTC),
            tenant=run.caller.tenant,
            key_id=run.caller.key_id,
            namespace=identity.namespace,
            model=run.served.settings.name,
            pod=identity.pod,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            outcome=outcome,
            queue_seconds=round(answer.queue_seconds, 3),
            seconds=round(seconds, 3),
        )
        self.parts.metrics.observe(run.served.settings.name, run.generation.chat, answer, outcome, start, seconds)


def _fit(served: Served, limits: Limits, prompt_tokens: int, asked: int | None) -> int:
    """Longest answer that the context leaves room for, or the 400 that says why there is none."""
    plan = served.plan
    room = plan.release.quirks.longest_answer(prompt_tokens, plan.context)
    if room >= (asked or 1):
        return asked or min(room, limits.default_max_tokens)
    what = f"{asked} tokens of answer" if asked else "at least one token of answer"
    limit = f"The model's context is {plan.context} tokens"
    if plan.release.quirks.rule_budget and prompt_tokens + (asked or 1) <= plan.context:
        limit = f"This build of Shimmy {plan.release.version} ends answers after a budget that leaves {max(room, 0)}"
    message = f"{limit}: {prompt_tokens} of prompt and {what} do not fit."
    param = "max_tokens" if asked else "messages"
    raise RefusedError(ApiError(400, "context_length_exceeded", message, param=param))
