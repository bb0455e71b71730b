"""Gets generations done: counts, checks, waits for the turn, reads the engine to its end, keeps the accounts."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shimmy_api.errors import ENGINE_FAILED, MODEL_UNAVAILABLE, QUEUE_FULL, ApiError
from shimmy_engine.answer import Answer
from shimmy_engine.failures import EngineFailedError, EngineRefusedError
from shimmy_engine.gate import Gate, QueueFullError
from shimmy_engine.journal import Journal
from shimmy_engine.metrics import Metrics
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.settings import Identity, Limits
from shimmy_engine.supervisor import Plan, Supervisor
from shimmy_engine.templates import render_chat
from shimmy_engine.tokenizer import PromptTokenizer
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is put together from."""

    identity: Identity
    limits: Limits
    plan: Plan
    supervisor: Supervisor
    gate: Gate
    journal: Journal
    metrics: Metrics
    tokenizer: PromptTokenizer | None
    """Where the line does not count prompts itself."""


class Service:
    """The model as something that can be asked."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._reading: set[asyncio.Task[None]] = set()

    async def open(self, generation: Generation, caller: Caller) -> Answer:
        """Wait for the turn and start the generation. Cancel this while it waits, and nothing has happened.

        Raises:
            RefusedError: the request or the state of the engine forbids it; the error says which.
        """
        prompt_tokens = await self._count_here(generation)
        arrival = time.monotonic()
        try:
            await self.parts.gate.enter()
        except QueueFullError as error:
            raise RefusedError(QUEUE_FULL) from error
        queue_seconds = time.monotonic() - arrival
        try:
            upstream = await self._ready_upstream()
            if prompt_tokens is None:
                prompt_tokens = await self._count_there(upstream, generation)
            answer = Answer(
                prompt_tokens=prompt_tokens,
                max_tokens=self._fit(prompt_tokens, generation.max_tokens),
                stop=generation.stop,
                queue_seconds=queue_seconds,
            )
        except BaseException:
            self.parts.gate.leave()
            raise
        task = asyncio.create_task(self._read(upstream, generation, answer, caller))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return answer

    async def _count_here(self, generation: Generation) -> int | None:
        """Prompt tokens by our own tokeniser, in a thread: a long prompt takes it tens of milliseconds."""
        plan, tokenizer = self.parts.plan, self.parts.tokenizer
        if plan.line.chat_ends_with_user and generation.chat and generation.messages[-1][0] != "user":
            message = "The last message must have the role 'user': this model's engine drops any other one."
            raise RefusedError(ApiError(400, "unsupported_messages", message, param="messages"))
        if tokenizer is None:
            return None
        prompt = render_chat(plan.family, generation.messages) if generation.chat else generation.prompt
        tokens = await asyncio.to_thread(tokenizer.count, prompt)
        self._fit(tokens, generation.max_tokens)
        return tokens

    async def _ready_upstream(self) -> Upstream:
        try:
            return await self.parts.supervisor.upstream()
        except EngineFailedError as error:
            raise RefusedError(MODEL_UNAVAILABLE) from error

    async def _count_there(self, upstream: Upstream, generation: Generation) -> int:
        try:
            return await upstream.count_prompt(generation)
        except EngineRefusedError as error:
            raise RefusedError(ApiError(400, "invalid_value", "The engine cannot read this request.")) from error
        except EngineFailedError as error:
            await self.parts.supervisor.verify()
            raise RefusedError(ENGINE_FAILED) from error

    def _fit(self, prompt_tokens: int, asked: int | None) -> int:
        """Longest answer that the context leaves room for, or the 400 that says why there is none."""
        context = self.parts.plan.context
        room = context - prompt_tokens
        if room < (asked or 1):
            what = f"{asked} tokens of answer" if asked else "at least one token of answer"
            message = f"The model's context is {context} tokens: {prompt_tokens} of prompt and {what} do not fit."
            raise RefusedError(
                ApiError(400, "context_length_exceeded", message, param="messages" if not asked else "max_tokens")
            )
        return asked or min(room, self.parts.limits.default_max_tokens)

    async def _read(self, upstream: Upstream, generation: Generation, answer: Answer, caller: Caller) -> None:
        """Read the engine to its end, whoever still listens: only then is it free for the next."""
        try:
            start = time.monotonic()
            failure = await self._consume(upstream, generation, answer)
            self._account(answer, caller, failure, start)
            if failure:
                answer.fail(failure)
            answer.close()
            if failure or not answer.usage.completion_tokens:
                # 1.8 hides its failures: a stream in which nothing came may have been one.
                await self.parts.supervisor.verify()
        finally:
            answer.close()
            self.parts.gate.leave()

    async def finish(self) -> None:
        """Once the engine is gone: let what was interrupted be accounted for."""
        if self._reading:
            await asyncio.wait(self._reading, timeout=_FINISH)

    async def _consume(self, upstream: Upstream, generation: Generation, answer: Answer) -> EngineFailedError | None:
        """Feed the answer until the engine ends, fails, or has gone on too long without a listener."""
        try:
            async with asyncio.timeout(None) as deadline:
                watch = asyncio.create_task(self._set_deadline(answer, deadline))
                try:
                    async for event in upstream.generate(generation, answer.max_tokens):
                        answer.feed(event)
                finally:
                    watch.cancel()
        except TimeoutError:
            self.parts.supervisor.restart("it went on too long with an answer that nobody waits for")
        except EngineFailedError as error:
            return error
        return None

    async def _set_deadline(self, answer: Answer, deadline: asyncio.Timeout) -> None:
        await answer.abandoned.wait()
        deadline.reschedule(asyncio.get_running_loop().time() + self.parts.limits.abandon)

    def _account(self, answer: Answer, caller: Caller, failure: EngineFailedError | None, start: float) -> None:
        outcome: Outcome = "failed" if failure and not answer.reason else "completed"
        if answer.client_left:
            outcome = "cancelled"
        seconds, usage, identity = time.monotonic() - start, answer.usage, self.parts.identity
        self.parts.journal.append(
            request_id=caller.request_id,
            time=datetime.now(UTC),
            tenant=caller.tenant,
            key_id=caller.key_id,
            namespace=identity.namespace,
            model=identity.model,
            pod=identity.pod,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            outcome=outcome,
            queue_seconds=round(answer.queue_seconds, 3),
            seconds=round(seconds, 3),
        )
        metrics = self.parts.metrics
        metrics.requests.labels(outcome).inc()
        metrics.tokens.labels("prompt").inc(usage.prompt_tokens)
        metrics.tokens.labels("completion").inc(usage.completion_tokens)
        metrics.queue_seconds.observe(answer.queue_seconds)
        metrics.seconds.observe(seconds)
        if answer.first_text_at:
            metrics.first_token_seconds.observe(answer.first_text_at - start)
