"""Ollama's chat, generate and the lists that its clients ask for.

Source: https://github.com/ollama/ollama, docs/api.md and api/types.go.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from shimmy_api.error_shapes import ollama_body
from shimmy_api.errors import ApiError
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import Generation
from shimmy_engine.results import Result, Usage
from shimmy_engine.surfaces.bodies import Body, Empty, Tolerance, dump, read_object, refuse_value, validate
from shimmy_engine.surfaces.shape import NDJSON, Ask, Head, Immediate, Surface

RUNNING: Final = b"Ollama is running"
"""Answer to GET /, by which clients know an Ollama."""
_LATEST: Final = ":latest"
_NEVER: Final = "9999-12-31T23:59:59Z"
_TOLERANCE: Final = Tolerance(
    ignored=frozenset({"keep_alive"}),  # the model stays loaded, whatever is asked
    neutral={
        "context": ([],),
        "format": ("",),
        "images": ([],),
        "logprobs": (False,),
        "shift": (False,),
        "suffix": ("",),
        "template": ("",),
        "think": (False,),
        "tools": ([],),
        "top_logprobs": (0,),
        "truncate": (False,),
    },
)
_OPTIONS_TOLERANCE: Final = Tolerance(neutral={"frequency_penalty": (0,), "mirostat": (0,), "presence_penalty": (0,)})


class _Options(Body):
    num_predict: Annotated[int, Field(ge=-2)] | None = None
    """Most tokens of the answer; -1 and -2 mean as many as there is room for."""
    num_ctx: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[str, Field(min_length=1)] | list[Annotated[str, Field(min_length=1)]] | None = None


class _Message(Body):
    role: Literal["system", "user", "assistant"]
    content: str = ""
    images: Empty = None
    thinking: Literal[""] | None = None
    tool_calls: Empty = None


class _Named(Body):
    model: str | None = None
    name: str | None = None
    """What `model` was called in earlier versions."""
    stream: bool = True
    options: dict[str, Any] = Field(default_factory=dict)


class _ChatBody(_Named):
    messages: tuple[_Message, ...] = ()


class _GenerateBody(_Named):
    prompt: str = ""
    system: str = ""
    raw: bool = False


class _ShowBody(Body):
    model: str | None = None
    name: str | None = None
    verbose: bool = False


def parse_chat(body: bytes) -> Ask | Immediate:
    """Read the body of POST /api/chat. Without a message it asks for the model to be loaded.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_ChatBody, read_object(body), _TOLERANCE)
    generation = _generation(parsed)
    if not parsed.messages:
        return Immediate(generation.model, lambda head: _loaded(OllamaShape(head, chat=True)))
    messages = tuple((message.role, message.content) for message in parsed.messages)
    return Ask(replace(generation, messages=messages), lambda head: OllamaShape(head, chat=True))


def parse_generate(body: bytes) -> Ask | Immediate:
    """Read the body of POST /api/generate. Without a prompt it asks for the model to be loaded.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_GenerateBody, read_object(body), _TOLERANCE)
    generation = _generation(parsed)
    if not parsed.prompt:
        return Immediate(generation.model, lambda head: _loaded(OllamaShape(head, chat=False)))
    if parsed.raw:
        if parsed.system:
            raise refuse_value("system", "A raw prompt takes no system text: write it into the prompt.")
        generation = replace(generation, prompt=parsed.prompt)
    else:
        system = (("system", parsed.system),) if parsed.system else ()
        generation = replace(generation, messages=(*system, ("user", parsed.prompt)))
    return Ask(generation, lambda head: OllamaShape(head, chat=False))


def parse_show(body: bytes) -> str | None:
    """The model that POST /api/show asks about.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = validate(_ShowBody, read_object(body), Tolerance(neutral={"system": ("",), "template": ("",)}))
    return _plain(parsed.model or parsed.name)


def _generation(parsed: _Named) -> Generation:
    given = {key: value for key, value in parsed.options.items() if value is not None}
    options = validate(_Options, given, _OPTIONS_TOLERANCE, within="options.")
    if options.num_predict == 0:
        raise refuse_value("options.num_predict", "'options.num_predict' must be positive, -1 or -2.")
    stop = options.stop or ()
    limit = options.num_predict
    return Generation(
        model=_plain(parsed.model or parsed.name),
        stream=parsed.stream,
        max_tokens=limit if limit and limit > 0 else None,
        context=options.num_ctx,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def _plain(name: str | None) -> str | None:
    """The name without the tag that Ollama's clients add."""
    return name.removesuffix(_LATEST) if name else name


@dataclass(frozen=True, slots=True)
class OllamaShape:
    """Writes the answer to a chat or a generate, as lines of JSON."""

    head: Head
    chat: bool

    @property
    def media_type(self) -> str:
        """Lines of JSON."""
        return NDJSON

    def whole(self, text: str, result: Result) -> bytes:
        """The JSON body of an answer that is not streamed."""
        return dump(_object(self, text) | _done(result)).encode()

    def first(self, _usage: Usage) -> bytes:
        """Nothing: the first line has text."""
        return b""

    def piece(self, text: str) -> bytes:
        """A line with text."""
        return _line(_object(self, text) | {"done": False})

    def last(self, result: Result) -> bytes:
        """The line with counts and times."""
        return _line(_object(self, "") | _done(result))

    def failure(self, error: ApiError) -> bytes:
        """A line with the error, at which Ollama's client raises."""
        return ollama_body(error) + b"\n"


def _object(shape: OllamaShape, text: str) -> dict[str, Any]:
    content = {"message": {"role": "assistant", "content": text}} if shape.chat else {"response": text}
    return {"model": shape.head.model, "created_at": _time(shape.head.created), **content}


def _loaded(shape: OllamaShape) -> bytes:
    return _line(_object(shape, "") | {"done": True, "done_reason": "load"})


def _done(result: Result) -> dict[str, Any]:
    """Times in nanoseconds. The model is loaded already, or a build of 1.8 loads it before each prompt, unseen."""
    total = result.queue_seconds + result.prompt_seconds + result.text_seconds
    return {
        "done": True,
        "done_reason": result.reason,
        "total_duration": _nanoseconds(total),
        "load_duration": 0,
        "prompt_eval_count": result.usage.prompt_tokens,
        "prompt_eval_duration": _nanoseconds(result.prompt_seconds),
        "eval_count": result.usage.completion_tokens,
        "eval_duration": _nanoseconds(result.text_seconds),
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _line(value: dict[str, Any]) -> bytes:
    """ASCII alone: Ollama's client also breaks lines at characters such as U+2028 (httpx's `iter_lines`)."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _details(card: ModelCard) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": card.architecture,
        "families": [card.architecture],
        "parameter_size": card.parameter_size,
        "quantization_level": card.quantization,
    }


def _listed(card: ModelCard) -> dict[str, Any]:
    named = {"name": card.name, "model": card.name, "size": card.size_bytes, "digest": card.header_digest}
    return named | {"details": _details(card)}


def tags(card: ModelCard) -> dict[str, Any]:
    """Answer to GET /api/tags."""
    return {"models": [_listed(card) | {"modified_at": _time(card.created)}]}


def running(card: ModelCard, *, ready: bool) -> dict[str, Any]:
    """Answer to GET /api/ps: the model, once it can answer."""
    loaded = {"expires_at": _NEVER, "context_length": card.context}
    return {"models": [_listed(card) | loaded] if ready else []}


def show(card: ModelCard) -> dict[str, Any]:
    """Answer to POST /api/show."""
    architecture = card.architecture
    return {
        "modelfile": "",
        "parameters": f"num_ctx {card.context}",
        "template": "",
        "details": _details(card),
        "model_info": {
            "general.architecture": architecture,
            "general.parameter_count": card.parameters,
            f"{architecture}.context_length": card.context,
        },
        "capabilities": ["completion"],
        "modified_at": _time(card.created),
    }


OLLAMA: Final = Surface("ollama", lambda error, _request_id: ollama_body(error))
