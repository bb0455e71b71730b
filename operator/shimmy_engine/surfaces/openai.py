"""OpenAI's chat completions, completions and models.

Source: https://github.com/openai/openai-openapi, CreateChatCompletionRequest, CreateCompletionRequest and Model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import Field

from shimmy_api.errors import ApiError
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import Generation
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import DONE, encode_event
from shimmy_engine.surfaces.bodies import Body, Empty, Tolerance, dump, read_object, validate
from shimmy_engine.surfaces.shape import EVENT_STREAM, Ask, Head, Surface

_TOLERANCE: Final = Tolerance(
    ignored=frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "user"}),
    neutral={
        "best_of": (1,),
        "echo": (False,),
        "frequency_penalty": (0,),
        "function_call": ("none", "auto"),
        "functions": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "n": (1,),
        "parallel_tool_calls": (True, False),
        "presence_penalty": (0,),
        "response_format": ({"type": "text"},),
        "store": (False,),
        "suffix": ("",),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
    },
)


class TextPart(Body):
    """A part of a message; other types than text are refused."""

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """One turn of a conversation. What an earlier answer had besides its text may come back, as long as it is empty."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    annotations: Empty = None
    audio: None = None
    function_call: None = None
    refusal: None = None
    tool_calls: Empty = None

    @property
    def turn(self) -> tuple[str, str]:
        """Role and text."""
        return turn_of(self.role, self.content)


class HasText(Protocol):
    """A part of a message."""

    @property
    def text(self) -> str:
        """What it says."""


def turn_of(role: str, content: str | Sequence[HasText]) -> tuple[str, str]:
    """Role and text of a message; `developer` is what newer models call `system`."""
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    return "system" if role == "developer" else role, text


class StreamOptions(Body):
    """What a stream carries beside text."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class _Sampling(Body):
    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(max_length=4)] | None = None


class _ChatBody(_Sampling):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


class _CompletionBody(_Sampling):
    prompt: Annotated[str, Field(min_length=1)]


def parse_chat(body: bytes) -> Ask:
    """Read the body of POST /v1/chat/completions.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_ChatBody, read_object(body), _TOLERANCE)
    messages = tuple(message.turn for message in parsed.messages)
    return _ask(parsed, messages=messages, max_tokens=parsed.max_completion_tokens or parsed.max_tokens)


def parse_completion(body: bytes) -> Ask:
    """Read the body of POST /v1/completions.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_CompletionBody, read_object(body), _TOLERANCE)
    return _ask(parsed, prompt=parsed.prompt, max_tokens=parsed.max_tokens)


def _ask(parsed: _Sampling, **rest: Any) -> Ask:
    stop = parsed.stop or ()
    generation = Generation(
        model=parsed.model,
        stream=parsed.stream,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        seed=parsed.seed,
        stop=(stop,) if isinstance(stop, str) else tuple(text for text in stop if text),
        **rest,
    )
    include_usage = parsed.stream_options.include_usage
    return Ask(generation, lambda head: Completion(head, chat=generation.chat, include_usage=include_usage))


@dataclass(frozen=True, slots=True)
class Completion:
    """Writes the answer to a chat or a completion."""

    head: Head
    chat: bool
    include_usage: bool = False

    @property
    def media_type(self) -> str:
        """Server-sent events."""
        return EVENT_STREAM

    def whole(self, text: str, result: Result) -> bytes:
        """The JSON body of an answer that is not streamed."""
        content: dict[str, Any] = {"text": text}
        if self.chat:
            content = {"message": {"role": "assistant", "content": text, "refusal": None}}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": result.reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return dump(self._named(kind) | {"choices": [choice], "usage": usage_object(result.usage)}).encode()

    def first(self, _usage: Usage) -> bytes:
        """The event before the text: in a chat it names the role."""
        return self._event(delta={"role": "assistant", "content": ""}) if self.chat else b""

    def piece(self, text: str) -> bytes:
        """An event with text."""
        return self._event(delta={"content": text}) if self.chat else self._event(text=text)

    def last(self, result: Result) -> bytes:
        """The events after the text: the finish reason, the usage where it was asked for, and the end."""
        end = self._event(delta={}, reason=result.reason) if self.chat else self._event(text="", reason=result.reason)
        if self.include_usage:
            usage = usage_object(result.usage)
            end += encode_event(dump(self._named(self._chunk) | {"choices": [], "usage": usage}))
        return end + encode_event(DONE)

    def failure(self, error: ApiError) -> bytes:
        """An error event, at which OpenAI's client raises."""
        return encode_event(error.body().decode())

    @property
    def _chunk(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _event(self, *, reason: str | None = None, **content: Any) -> bytes:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self.include_usage else {}
        return encode_event(dump(self._named(self._chunk) | {"choices": [choice]} | usage))

    def _named(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.chat else "cmpl"
        head = self.head
        return {"id": f"{prefix}-{head.id}", "object": kind, "created": head.created, "model": head.model}


def usage_object(usage: Usage) -> dict[str, int]:
    """The `usage` object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def model_object(card: ModelCard) -> dict[str, Any]:
    """The model, for OpenAI's clients and, by the last three keys, for Anthropic's, which ask at the same address."""
    created = datetime.fromtimestamp(card.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    openai = {"id": card.name, "object": "model", "created": card.created, "owned_by": "shimmy"}
    return openai | {"type": "model", "display_name": card.name, "created_at": created}


def models(card: ModelCard) -> dict[str, Any]:
    """Answer to GET /v1/models, for both kinds of clients too."""
    ends = {"first_id": card.name, "last_id": card.name, "has_more": False}
    return {"object": "list", "data": [model_object(card)]} | ends


def error_body(error: ApiError, _request_id: str) -> bytes:
    """An error as it is."""
    return error.body()


OPENAI: Final = Surface("openai", error_body)
