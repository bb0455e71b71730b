"""OpenAI's responses, without their memory: nothing is stored, so nothing can be referred to.

Source: https://github.com/openai/openai-openapi, CreateResponse, Response and ResponseStreamEvent.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from shimmy_api.errors import ApiError
from shimmy_engine.requests import Generation
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import encode_event
from shimmy_engine.surfaces.bodies import Body, Empty, Tolerance, dump, read_object, validate
from shimmy_engine.surfaces.openai import turn_of
from shimmy_engine.surfaces.shape import EVENT_STREAM, Ask, Head

_TOLERANCE: Final = Tolerance(
    ignored=frozenset({"prompt_cache_key", "safety_identifier", "service_tier", "user"}),
    neutral={
        "background": (False,),
        "include": ([],),
        "parallel_tool_calls": (True, False),
        "reasoning": ({},),
        "store": (False,),
        "stream_options": ({}, {"include_obfuscation": False}),
        "text": ({}, {"format": {"type": "text"}}),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
        "truncation": ("disabled",),
    },
)


class _Part(Body):
    type: Literal["input_text", "output_text"]
    text: str
    annotations: Empty = None
    logprobs: Empty = None


class _Message(Body):
    """A message as a user writes it, or as it stands in the `output` of an earlier response."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[_Part], Field(min_length=1)]
    type: Literal["message"] = "message"
    id: str | None = None
    phase: None = None
    status: Literal["completed", "incomplete"] | None = None

    @property
    def turn(self) -> tuple[str, str]:
        return turn_of(self.role, self.content)


class _ResponseBody(Body):
    input: Annotated[str, Field(min_length=1)] | Annotated[list[_Message], Field(min_length=1)]
    model: str | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    metadata: dict[str, str] = Field(default_factory=dict, max_length=16)
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None


def parse(body: bytes) -> Ask:
    """Read the body of POST /v1/responses.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_ResponseBody, read_object(body), _TOLERANCE)
    given = parsed.input
    turns = (("user", given),) if isinstance(given, str) else tuple(message.turn for message in given)
    if parsed.instructions:
        turns = (("system", parsed.instructions), *turns)
    generation = Generation(
        messages=turns,
        model=parsed.model,
        stream=parsed.stream,
        max_tokens=parsed.max_output_tokens,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
    )
    echo = {
        "instructions": parsed.instructions,
        "max_output_tokens": parsed.max_output_tokens,
        "metadata": parsed.metadata,
        "temperature": parsed.temperature,
        "top_p": parsed.top_p,
    }
    return Ask(generation, lambda head: ResponseShape(head, echo))


_FIXED: Final[dict[str, Any]] = {
    "background": False,
    "parallel_tool_calls": False,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "text": {"format": {"type": "text"}},
    "tool_choice": "none",
    "tools": [],
    "truncation": "disabled",
}


@dataclass(slots=True)
class ResponseShape:
    """Writes a response. As a stream it numbers its events, and repeats the whole text at the end."""

    head: Head
    echo: dict[str, Any]
    """What the request set, which the response repeats."""
    _sent: int = 0
    _pieces: list[str] = field(default_factory=list)

    @property
    def media_type(self) -> str:
        """Server-sent events."""
        return EVENT_STREAM

    def whole(self, text: str, result: Result) -> bytes:
        """The JSON body of an answer that is not streamed."""
        return dump(self._finished(text, result)).encode()

    def first(self, _usage: Usage) -> bytes:
        """The events that announce the response, its only message and that message's only part."""
        response = self._response("in_progress", output=[])
        return b"".join(
            (
                self._event("response.created", response=response),
                self._event("response.in_progress", response=response),
                self._event("response.output_item.added", output_index=0, item=self._item("in_progress", [])),
                self._text_event("response.content_part.added", part=_part("")),
            )
        )

    def piece(self, text: str) -> bytes:
        """An event with text."""
        self._pieces.append(text)
        return self._text_event("response.output_text.delta", delta=text, logprobs=[])

    def last(self, result: Result) -> bytes:
        """The events that close part, message and response."""
        text = "".join(self._pieces)
        response = self._finished(text, result)
        return b"".join(
            (
                self._text_event("response.output_text.done", text=text, logprobs=[]),
                self._text_event("response.content_part.done", part=_part(text)),
                self._event("response.output_item.done", output_index=0, item=response["output"][0]),
                self._event(f"response.{response['status']}", response=response),
            )
        )

    def failure(self, error: ApiError) -> bytes:
        """The event of a response that failed."""
        output = [self._item("incomplete", [_part("".join(self._pieces))])]
        failed = self._response("failed", output=output) | {"error": {"code": "server_error", "message": error.message}}
        return self._event("response.failed", response=failed)

    def _finished(self, text: str, result: Result) -> dict[str, Any]:
        cut = result.reason == "length"
        status = "incomplete" if cut else "completed"
        response = self._response(status, output=[self._item(status, [_part(text)])])
        if cut:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        return response | {"usage": _usage(result.usage)}

    def _response(self, status: str, *, output: list[dict[str, Any]]) -> dict[str, Any]:
        named = {"id": f"resp_{self.head.id}", "object": "response", "created_at": self.head.created}
        state = {"status": status, "error": None, "incomplete_details": None, "output": output, "usage": None}
        return named | {"model": self.head.model} | state | self.echo | _FIXED

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        named = {"id": f"msg_{self.head.id}", "type": "message", "role": "assistant"}
        return named | {"status": status, "content": content}

    def _text_event(self, kind: str, **content: Any) -> bytes:
        return self._event(kind, item_id=f"msg_{self.head.id}", output_index=0, content_index=0, **content)

    def _event(self, kind: str, **content: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._sent, **content}
        self._sent += 1
        return encode_event(dump(event), event=kind)


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
