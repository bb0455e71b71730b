"""Shimmy's own API, with what it lacks: counts, reasons and errors that can be told from text.

Source: src/api.rs of shimmy 2.6.5. Its streams are bare text, event by event or frame by frame; what is no text is
marked so that no text can pass for it.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import Field

from shimmy_api.errors import ApiError
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.sse import DONE, encode_event, encode_text
from shimmy_engine.surfaces.bodies import Body, Tolerance, dump, read_object, refuse_value, validate
from shimmy_engine.surfaces.openai import ChatMessage, usage_object
from shimmy_engine.surfaces.openai import error_body as openai_error_body
from shimmy_engine.surfaces.shape import EVENT_STREAM, Ask, Head, Surface


class _GenerateBody(Body):
    model: str | None = None
    prompt: Annotated[str, Field(min_length=1)] | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    system: str = ""
    raw_prompt: bool = False
    stream: bool = True
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[str, Field(min_length=1)] | list[Annotated[str, Field(min_length=1)]] | None = None


def parse_generate(body: bytes) -> Ask:
    """Read the body of POST /api/generate.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_GenerateBody, read_object(body), Tolerance())
    stop = parsed.stop or ()
    generation = Generation(
        model=parsed.model,
        stream=parsed.stream,
        max_tokens=parsed.max_tokens,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        seed=parsed.seed,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )
    return Ask(_with_text(parsed, generation), GenerateShape)


def parse_frame(frame: str) -> Generation:
    """Read the first frame of /ws/generate.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    generation = parse_generate(frame.encode(errors="replace")).generation
    if not generation.stream:
        raise refuse_value("stream", "A WebSocket always streams: leave 'stream' out.")
    return generation


def _with_text(parsed: _GenerateBody, generation: Generation) -> Generation:
    """A prompt alone is a user's message, as in 2.6; `raw_prompt` makes it a text to go on from."""
    if (parsed.prompt is None) == (parsed.messages is None):
        raise RefusedError(ApiError(400, "invalid_value", "Give either 'prompt' or 'messages'.", param="prompt"))
    if parsed.raw_prompt:
        if parsed.system or parsed.prompt is None:
            raise refuse_value("raw_prompt", "A raw prompt goes with 'prompt' alone.")
        return replace(generation, prompt=parsed.prompt)
    system = (("system", parsed.system),) if parsed.system else ()
    turns = tuple(message.turn for message in parsed.messages or ()) or (("user", parsed.prompt or ""),)
    return replace(generation, messages=(*system, *turns))


@dataclass(frozen=True, slots=True)
class GenerateShape:
    """Writes an answer as Shimmy does."""

    head: Head

    @property
    def media_type(self) -> str:
        """Server-sent events."""
        return EVENT_STREAM

    def whole(self, text: str, result: Result) -> bytes:
        """The JSON body of an answer that is not streamed."""
        return dump({"response": text} | _ending(result, self.head.model)).encode()

    def first(self, _usage: Usage) -> bytes:
        """Nothing: the first event has text."""
        return b""

    def piece(self, text: str) -> bytes:
        """Bare text. Text that starts like Shimmy's "[DONE]" or "[ERROR]" comes in two events."""
        return b"".join(encode_text(part) for part in _apart(text, "["))

    def last(self, result: Result) -> bytes:
        """An event of the type `done` with reason and usage, then Shimmy's own end."""
        return encode_event(dump(done(result, self.head.model)), event="done") + encode_event(DONE)

    def failure(self, error: ApiError) -> bytes:
        """An event of the type `error`."""
        return encode_event(error.body().decode(), event="error")


def frames(text: str) -> tuple[str, ...]:
    """Bare text as WebSocket frames. A frame that starts with `{"` is never text: such text comes in two frames."""
    return _apart(text, '{"')


def done(result: Result, model: str) -> dict[str, Any]:
    """The last frame or event."""
    return {"done": True} | _ending(result, model)


def _apart(text: str, mark: str) -> tuple[str, ...]:
    return (text[:1], text[1:]) if text.startswith(mark) and len(text) > 1 else (text,)


def _ending(result: Result, model: str) -> dict[str, Any]:
    return {"model": model, "finish_reason": result.reason, "usage": usage_object(result.usage)}


def models(card: ModelCard) -> dict[str, Any]:
    """Answer to GET /api/models."""
    model = {
        "name": card.name,
        "size_bytes": card.size_bytes,
        "model_type": card.architecture,
        "parameter_count": card.parameter_size,
        "source": "registered",
        "context_length": card.context,
        "quantization": card.quantization,
    }
    return {"models": [model]}


SHIMMY: Final = Surface("shimmy", openai_error_body)
