"""Shimmy 2.6's behaviour: one model, one lock, true counts, poisoned by a panic."""

import asyncio
import time
import uuid
from typing import Any

from tests.fakes.shimmy.answers import Script, Switches, count, draw, script
from tests.fakes.shimmy.common import ChatEvents, FailedError, Pace, body_of, message_text, say, unknown_model, usage
from tests.fakes.shimmy.wire import Connection, Reply, Request

VERSION = "2.6.5"
DEFAULT_MAX_TOKENS = 256
LARGEST_MAX_TOKENS = 131_072
TENSORS = 12
_ROUNDS = 499


class Airframe:
    """Load and generation take the same lock; both wait for it unboundedly."""

    def __init__(self, model: str, switches: Switches) -> None:
        self.models = [model]
        self.common: dict[str, str] = {}
        self.version = VERSION
        self.routes = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.completions,
            "/api/generate": self.generate,
        }
        self._switches = switches
        self._pace = Pace(switches)
        self._lock = asyncio.Lock()
        self._loaded = False
        self._poisoned = False

    async def chat(self, request: Request, connection: Connection) -> None:
        body = body_of(request, {"model": str, "messages": list})
        if refusal := self._refusal(body):
            connection.reply(refusal)
            return
        await self._load()
        texts = [message_text(message) for message in body["messages"]]
        prompt, plan = self._plan(texts, body)
        if body.get("stream") is True:
            await self._stream_chat(body, prompt, plan, connection)
            return
        tokens = await self._collect(plan, connection)
        if tokens is None:
            connection.reply(Reply(502))
            return
        message = {"role": "assistant", "content": "".join(plan.pieces[:tokens])}
        choice = {"index": 0, "message": message, "finish_reason": _reason(plan, tokens)}
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time())}
        connection.reply(
            Reply.json(head | {"model": body["model"], "choices": [choice], "usage": usage(prompt, tokens)})
        )

    async def completions(self, request: Request, connection: Connection) -> None:
        body = body_of(request, {"model": str, "prompt": str})
        if body["model"] not in self.models:
            connection.reply(_error(404, "model_not_found", f"Model '{body['model']}' not found", "model"))
            return
        if not body["prompt"]:
            connection.reply(_error(400, "invalid_prompt", "prompt must not be empty", "prompt"))
            return
        await self._load()
        prompt, plan = self._plan([body["prompt"]], body)
        tokens = await self._collect(plan, connection)
        if tokens is None:
            connection.reply(_error(500, "generation_failed", "Generation failed", "prompt"))
            return
        text = "".join(plan.pieces[:tokens])
        choice = {"finish_reason": _reason(plan, tokens), "index": 0, "logprobs": None, "text": text}
        head = {"choices": [choice], "created": int(time.time()), "id": f"cmpl-{uuid.uuid4().hex}"}
        tail = {
            "model": body["model"],
            "object": "text_completion",
            "usage": dict(sorted(usage(prompt, tokens).items())),
        }
        connection.reply(Reply.json(head | tail))

    async def generate(self, request: Request, connection: Connection) -> None:
        body = body_of(request, {"model": str})
        if body["model"] not in self.models:
            connection.reply(Reply(404))
            return
        await self._load()
        messages = body.get("messages")
        texts = [message_text(message) for message in messages] if messages else [body.get("prompt") or ""]
        prompt, plan = self._plan(texts, body)
        if body.get("raw_prompt"):
            prompt -= 4
        tokens = await self._collect(plan, connection) if texts != [""] else None
        if tokens is None:
            connection.reply(Reply(502))
        elif body.get("stream") is False:
            text = "".join(plan.pieces[:tokens])
            answer = {"response": text, "usage": usage(prompt, tokens), "finish_reason": _reason(plan, tokens)}
            connection.reply(Reply.json(answer))
        else:
            stream = connection.stream()
            for piece in (*plan.pieces, "[DONE]"):
                await stream.send(piece)
            await stream.end()

    async def _stream_chat(self, body: dict[str, Any], prompt: int, plan: Script, connection: Connection) -> None:
        events, stream = ChatEvents(body["model"]), connection.stream()
        await stream.send(events.chunk(role="assistant"))
        tokens = 0
        try:
            async with self._lock:
                self._pace.start()
                for index, piece in enumerate(plan.pieces):
                    if self._pace.cancelled:
                        break
                    await self._pace.before(index, plan, connection)
                    await stream.send(events.chunk(content=piece))
                    tokens += 1
            if tokens == len(plan.pieces):
                await self._pace.before(tokens, plan, connection)
                tokens += plan.stops
        except FailedError:
            error = {"code": "generation_failed", "message": "Generation failed", "type": "server_error"}
            await stream.send(Reply.json({"error": error}).body.decode())
        else:
            await stream.send(events.chunk(reason=_reason(plan, tokens)))
            if (body.get("stream_options") or {}).get("include_usage"):
                await stream.send(events.usage(prompt, tokens))
        await stream.send("[DONE]")
        await stream.end()

    async def _load(self) -> None:
        """Wait for the lock, as every request does before its headers; the first one loads the model."""
        async with self._lock:
            for index in range(TENSORS):
                say(f"[GGUF] tensor blk.{index}.attn_q.weight")
            if not self._loaded:
                await asyncio.sleep(self._switches.load_seconds)
                say("[GpuRuntime] Selected adapter: fake (Cpu, Vulkan)")
                self._loaded = True

    async def _collect(self, plan: Script, connection: Connection) -> int | None:
        """Tokens of a whole answer, the terminal one included; None where it failed."""
        try:
            async with self._lock:
                self._pace.start()
                for index in range(len(plan.pieces) + 1):
                    if self._pace.cancelled:
                        return index
                    await self._pace.before(index, plan, connection)
        except FailedError:
            return None
        return len(plan.pieces) + plan.stops

    def cancel(self) -> None:
        """What POST /cancel does."""
        self._pace.cancelled = True

    def _plan(self, texts: list[str], body: dict[str, Any]) -> tuple[int, Script]:
        limit = body.get("max_tokens")
        limit = DEFAULT_MAX_TOKENS if limit is None else limit
        tokens, distinct = count(texts)
        plan = script("\n".join(texts), limit, self._switches, draw(body, self._switches))
        if limit == 0:
            plan = Script((), stops=False, fault="")
        elif self._switches.budget and len(plan.pieces) > (_ROUNDS - tokens - distinct) // 2:
            plan = Script(plan.pieces, plan.stops, "fail")
        self._poisoned = self._poisoned or plan.fault == "poison"
        return tokens, Script((), stops=False, fault="fail") if self._poisoned and limit else plan

    def _refusal(self, body: dict[str, Any]) -> Reply | None:
        """Chat's refusals in JSON, in their order."""
        if body["model"] not in self.models:
            return unknown_model(body["model"], self.models)
        if not body["messages"]:
            return _error(400, "invalid_messages", "messages must not be empty", "messages")
        parts = [
            part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]
        ]
        if any(part.get("type") != "text" for part in parts):
            return _error(400, "unsupported_media", "multimodal content is not supported by this build", "messages")
        limit = body.get("max_tokens")
        if limit is not None and not 1 <= limit <= LARGEST_MAX_TOKENS:
            message = f"max_tokens must be between 1 and {LARGEST_MAX_TOKENS}"
            return _error(400, "invalid_max_tokens", message, "max_tokens")
        return None


def _reason(plan: Script, tokens: int) -> str:
    """A cancelled answer ends as if the model had stopped."""
    return "stop" if plan.stops or tokens < len(plan.pieces) else "length"


def _error(status: int, code: str, message: str, param: str) -> Reply:
    error = {"code": code, "message": message, "param": param, "type": "invalid_request_error"}
    return Reply.json({"error": error}, status)
