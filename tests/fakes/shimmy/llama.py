"""Shimmy 1.8's behaviour: parallel, streams by default, tells no usage, hides errors, always ends with "stop"."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tests.fakes.shimmy.answers import Script, Switches, draw, script
from tests.fakes.shimmy.common import ChatEvents, FailedError, Pace, body_of, message_text, say, unknown_model, usage
from tests.fakes.shimmy.wire import Connection, Reply, Request

VERSION = "1.8.1"
COMMON = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, Authorization",
    "access-control-max-age": "86400",
}
DEFAULT_MAX_TOKENS = 256


class Llama:
    """The model is loaded for each request; nothing is serialised."""

    def __init__(self, model: str, switches: Switches) -> None:
        self.models = sorted([model, "phi3-lora"])
        self.common = COMMON
        self.routes = {"/v1/chat/completions": self.chat, "/api/generate": self.generate}
        self.version = VERSION
        self._switches = switches
        self._pace = Pace(switches)
        self._poisoned = False

    async def chat(self, request: Request, connection: Connection) -> None:
        body = body_of(request, {"model": str, "messages": list})
        if body["model"] not in self.models:
            connection.reply(unknown_model(body["model"], self.models))
            return
        await self._load()
        plan = self._plan("\n".join(map(message_text, body["messages"])), body)
        if not _streams(body):
            text = await self._collect(plan, connection)
            connection.reply(Reply(502) if text is None else _whole(body["model"], text))
            return
        events, stream = ChatEvents(body["model"]), connection.stream()
        await stream.send(events.chunk(role="assistant"))
        await self._pieces(plan, connection, lambda piece: stream.send(events.chunk(content=piece)))
        await stream.send(events.chunk(reason="stop"))
        await stream.send("[DONE]")
        await stream.end()

    async def generate(self, request: Request, connection: Connection) -> None:
        body = body_of(request, {"model": str})
        if body["model"] not in self.models:
            connection.reply(Reply(404))
            return
        await self._load()
        plan = self._plan(_prompt(body), body)
        if not _streams(body):
            text = await self._collect(plan, connection)
            connection.reply(Reply(502) if text is None else Reply.json({"response": text}))
            return
        stream = connection.stream()
        await self._pieces(plan, connection, stream.send)
        await stream.send("[DONE]")
        await stream.end()

    def cancel(self) -> None:
        """What POST /cancel does."""
        self._pace.cancelled = True

    async def _pieces(self, plan: Script, connection: Connection, send: Callable[[str], Awaitable[None]]) -> None:
        """Generate and send; the registry's build sends everything at the end, and none tells of a failure."""
        late: list[str] = []
        self._pace.start()
        with suppress(FailedError):
            for index, piece in enumerate(plan.pieces):
                if self._pace.cancelled:
                    return
                await self._pace.before(index, plan, connection)
                if self._switches.fleet:
                    await send(piece)
                else:
                    late.append(piece)
            await self._pace.before(len(plan.pieces), plan, connection)
        for piece in late:
            await send(piece)

    async def _load(self) -> None:
        say("llama_model_loader: noise " + "." * 200)
        await asyncio.sleep(self._switches.load_seconds)

    def _plan(self, prompt: str, body: dict[str, Any]) -> Script:
        limit = body.get("max_tokens")
        plan = script(
            prompt,
            DEFAULT_MAX_TOKENS if limit is None else limit,
            self._switches,
            draw(body, self._switches),
        )
        self._poisoned = self._poisoned or plan.fault == "poison"
        return Script((), stops=True, fault="fail") if self._poisoned else plan

    async def _collect(self, plan: Script, connection: Connection) -> str | None:
        self._pace.start()
        try:
            for index in range(len(plan.pieces) + 1):
                if self._pace.cancelled:
                    return "".join(plan.pieces[:index])
                await self._pace.before(index, plan, connection)
        except FailedError:
            return None
        return "".join(plan.pieces)


def _streams(body: dict[str, Any]) -> bool:
    return body.get("stream") is not False


def _prompt(body: dict[str, Any]) -> str:
    if body.get("messages"):
        return "\n".join(map(message_text, body["messages"]))
    return body.get("prompt") or ""


def _whole(model: str, text: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time())}
    return Reply.json(head | {"model": model, "choices": [choice], "usage": usage(0, 0)})
