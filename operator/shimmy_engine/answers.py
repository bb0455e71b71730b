"""Answers in the shape of OpenAI's API, as bytes. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from shimmy_engine.sse import DONE, encode_event


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int

    def as_json(self) -> dict[str, int]:
        """The `usage` object."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """Renders one request's answer: whole, or piece by piece as events."""

    id: str
    """Unique part of the answer's id."""
    created: int
    """Unix time in seconds."""
    model: str
    chat: bool
    include_usage: bool

    def whole(self, text: str, reason: str, usage: Usage) -> bytes:
        """The JSON body of an answer that is not streamed."""
        content: dict[str, Any] = {"text": text}
        if self.chat:
            content = {"message": {"role": "assistant", "content": text, "refusal": None}}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return _dump(self._head(kind) | {"choices": [choice], "usage": usage.as_json()}).encode()

    def first(self) -> bytes:
        """The event before the text: in a chat it names the role."""
        return self._event(delta={"role": "assistant", "content": ""}) if self.chat else b""

    def piece(self, text: str) -> bytes:
        """An event with text."""
        return self._event(delta={"content": text}) if self.chat else self._event(text=text)

    def last(self, reason: str, usage: Usage) -> bytes:
        """The events after the text: the finish reason, the usage where it was asked for, and the end."""
        end = self._event(delta={}, reason=reason) if self.chat else self._event(text="", reason=reason)
        if self.include_usage:
            end += encode_event(_dump(self._head(self._chunk) | {"choices": [], "usage": usage.as_json()}))
        return end + encode_event(DONE)

    @property
    def _chunk(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _event(self, *, reason: str | None = None, **content: Any) -> bytes:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self.include_usage else {}
        return encode_event(_dump(self._head(self._chunk) | {"choices": [choice]} | usage))

    def _head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.chat else "cmpl"
        return {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
