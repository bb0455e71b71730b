"""Anthropic's messages.

Source: https://docs.anthropic.com/en/api/messages, /en/api/messages-streaming, /en/api/messages-count-tokens and
/en/api/errors; the types in anthropics/anthropic-sdk-python, src/anthropic/types.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from shimmy_api.error_shapes import ANTHROPIC_REQUEST_ID, anthropic_body, anthropic_error
from shimmy_api.errors import ApiError
from shimmy_engine.requests import Generation
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import encode_event
from shimmy_engine.surfaces.bodies import Body, Empty, Tolerance, dump, read_object, refuse_value, validate
from shimmy_engine.surfaces.shape import EVENT_STREAM, Ask, Head, Surface

_TOLERANCE: Final = Tolerance(
    ignored=frozenset({"cache_control", "metadata", "service_tier"}),
    neutral={
        "mcp_servers": ([],),
        "thinking": ({"type": "disabled"},),
        "tool_choice": ({"type": "none"}, {"type": "auto"}),
        "tools": ([],),
    },
)
_PREFILL: Final = "The last message must have the role 'user': this model's engine cannot go on from a started answer."
_STOP_REASONS: Final = {"stop": "end_turn", "length": "max_tokens"}


class _TextBlock(Body):
    type: Literal["text"]
    text: str
    cache_control: dict[str, Any] | None = None
    """Without effect: nothing is cached between requests."""
    citations: Empty = None


_Content = str | Annotated[list[_TextBlock], Field(min_length=1)]


class _Message(Body):
    role: Literal["system", "user", "assistant"]
    content: _Content


class _Prompt(Body):
    messages: Annotated[list[_Message], Field(min_length=1)]
    model: str | None = None
    system: _Content | None = None


class _MessagesBody(_Prompt):
    max_tokens: Annotated[int, Field(ge=1)]
    stream: bool = False
    stop_sequences: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None


def parse(body: bytes) -> Ask:
    """Read the body of POST /v1/messages.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_MessagesBody, read_object(body), _TOLERANCE)
    generation = Generation(
        messages=_turns(parsed),
        model=parsed.model,
        stream=parsed.stream,
        max_tokens=parsed.max_tokens,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        stop=parsed.stop_sequences,
    )
    return Ask(generation, MessageShape)


def parse_count(body: bytes) -> Generation:
    """Read the body of POST /v1/messages/count_tokens.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_Prompt, read_object(body), _TOLERANCE)
    return Generation(messages=_turns(parsed), model=parsed.model)


def count_body(prompt_tokens: int) -> bytes:
    """Answer to a count."""
    return dump({"input_tokens": prompt_tokens}).encode()


def _turns(prompt: _Prompt) -> tuple[tuple[str, str], ...]:
    turns = tuple((message.role, _text(message.content)) for message in prompt.messages)
    if turns[-1][0] != "user":
        raise refuse_value("messages", _PREFILL)
    system = _text(prompt.system or "")
    return (("system", system), *turns) if system else turns


def _text(content: _Content) -> str:
    return content if isinstance(content, str) else "".join(block.text for block in content)


@dataclass(frozen=True, slots=True)
class MessageShape:
    """Writes a message with one block of text."""

    head: Head

    @property
    def media_type(self) -> str:
        """Server-sent events."""
        return EVENT_STREAM

    def whole(self, text: str, result: Result) -> bytes:
        """The JSON body of an answer that is not streamed."""
        content = [{"type": "text", "text": text, "citations": None}]
        return dump(self._message(content, result.usage) | _ending(result)).encode()

    def first(self, usage: Usage) -> bytes:
        """The events that start message and block, with the tokens of the prompt."""
        block = {"type": "text", "text": ""}
        return b"".join(
            (
                _event("message_start", message=self._message([], usage)),
                _event("content_block_start", index=0, content_block=block),
                _event("ping"),
            )
        )

    def piece(self, text: str) -> bytes:
        """An event with text."""
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def last(self, result: Result) -> bytes:
        """The events that end block and message; the usage is that of the whole message."""
        return b"".join(
            (
                _event("content_block_stop", index=0),
                _event("message_delta", delta=_ending(result), usage=_usage(result.usage)),
                _event("message_stop"),
            )
        )

    def failure(self, error: ApiError) -> bytes:
        """An error event, at which Anthropic's client raises."""
        return _event("error", error=anthropic_error(error))

    def _message(self, content: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
        named = {"id": f"msg_{self.head.id}", "type": "message", "role": "assistant", "model": self.head.model}
        open_end = {"stop_reason": None, "stop_sequence": None}
        return named | {"content": content} | open_end | {"usage": _usage(usage)}


def _ending(result: Result) -> dict[str, Any]:
    reason = "stop_sequence" if result.stop is not None else _STOP_REASONS[result.reason]
    return {"stop_reason": reason, "stop_sequence": result.stop}


def _usage(usage: Usage) -> dict[str, Any]:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens} | cache


def _event(kind: str, **content: Any) -> bytes:
    return encode_event(dump({"type": kind, **content}), event=kind)


ANTHROPIC: Final = Surface("anthropic", anthropic_body, request_id_header=ANTHROPIC_REQUEST_ID)
