"""What both lines do alike: reading bodies as axum does, events, faults."""

import asyncio
import json
import os
import time
import uuid
from typing import Any

from tests.fakes.shimmy.answers import FAULT_AFTER, Script, Switches
from tests.fakes.shimmy.wire import Connection, Reply, Request


class Refused(Exception):  # noqa: N818 - it carries a reply
    """The body cannot be used."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class FailedError(Exception):
    """The generation broke off."""


def body_of(request: Request, required: dict[str, type]) -> dict[str, Any]:
    """Read a JSON body with axum's refusals, which are plain text."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused(Reply.text(415, "Expected request with `Content-Type: application/json`"))
    try:
        values = json.loads(request.body)
    except ValueError as error:
        raise Refused(Reply.text(400, f"Failed to parse the request body as JSON: {error}")) from error
    _typed(values, required)
    return dict(values)


def _typed(values: Any, required: dict[str, type]) -> None:
    prefix = "Failed to deserialize the JSON body into the target type"
    if not isinstance(values, dict):
        raise Refused(Reply.text(422, f"{prefix}: invalid type"))
    for name, kind in required.items():
        if name not in values:
            raise Refused(Reply.text(422, f"{prefix}: missing field `{name}`"))
        if not isinstance(values[name], kind):
            raise Refused(Reply.text(422, f"{prefix}: {name}: invalid type"))
    limit = values.get("max_tokens")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise Refused(Reply.text(422, f"{prefix}: max_tokens: invalid value, expected usize"))
    temperature = values.get("temperature")
    if temperature is not None and not isinstance(temperature, int | float):
        raise Refused(Reply.text(422, f"{prefix}: temperature: invalid type"))
    for message in values.get("messages") or ():
        if not isinstance(message.get("content"), str | list):
            raise Refused(Reply.text(422, f"{prefix}: messages[0].content: did not match any variant"))


def unknown_model(name: str, known: list[str]) -> Reply:
    """Chat's 404 for a model that is not there."""
    listed = ", ".join(f'"{model}"' for model in known)
    error = {
        "code": "model_not_found",
        "message": f"Model '{name}' not found. Available models: [{listed}]",
        "param": "model",
        "type": "invalid_request_error",
    }
    return Reply.json({"error": error}, 404)


class Pace:
    """Lets tokens come at the speed that is set, and faults strike."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._account = os.open(switches.account, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if switches.account else None
        self.cancelled = False
        """Whether the generation that runs is to end after its current token."""

    def start(self) -> None:
        """A generation begins: what was cancelled before is none of its business."""
        self.cancelled = False

    async def before(self, index: int, script: Script, connection: Connection) -> None:
        """Called before token `index`, and once after the last one.

        Raises:
            FailedError: the generation fails here.
        """
        if index == 0:
            self._note(script, 0)
        if script.fault and index == min(FAULT_AFTER, len(script.pieces)):
            await self._strike(script.fault, connection)
        if index == len(script.pieces):
            self._note(script, index + (script.stops and self._switches.line == "airframe"))
            return
        if self._switches.tokens_per_second:
            await asyncio.sleep(1 / self._switches.tokens_per_second)
        elif index % 16 == 0:
            await asyncio.sleep(0)
        self._note(script, index + 1)

    def _note(self, script: Script, tokens: int) -> None:
        """Write down how many tokens the request has got, so that it is known even of a process that is killed."""
        if self._account is not None and script.mark:
            os.write(self._account, f"{script.mark} {tokens}\n".encode())

    async def _strike(self, fault: str, connection: Connection) -> None:
        if fault == "crash":
            os._exit(101)
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "drop":
            connection.cut()
        if fault in ("drop", "fail", "poison"):
            raise FailedError


class ChatEvents:
    """The `data:` lines of a chat stream, key for key."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def chunk(self, *, content: str | None = None, role: str | None = None, reason: str | None = None) -> str:
        """One chunk; both keys of the delta are always there."""
        choice = {"index": 0, "delta": {"content": content, "role": role}, "finish_reason": reason}
        return dumps(self._head | {"choices": [choice]})

    def usage(self, prompt: int, completion: int) -> str:
        """2.6's usage event, whose keys are sorted."""
        event = self._head | {"choices": [], "usage": dict(sorted(usage(prompt, completion).items()))}
        return dumps(dict(sorted(event.items())))


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Token counts."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def dumps(value: Any) -> str:
    """Compact JSON, characters unescaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def message_text(message: dict[str, Any]) -> str:
    """A message's text, whole or in parts."""
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def say(text: str) -> None:
    """Print a line as Shimmy does: whoever does not read it makes the fake hang as well."""
    print(text, flush=True)  # noqa: T201
