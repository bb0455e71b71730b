"""The request bodies of OpenAI's API, as far as a Shimmy process can honour them.

What the engine would silently ignore is refused by name instead: a caller who asks for `tools` or for a second choice
must not get an answer that looks as if nothing had been asked.
Source: https://github.com/openai/openai-openapi, CreateChatCompletionRequest and CreateCompletionRequest.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shimmy_api.errors import INVALID_JSON, ApiError

MAX_BODY: Final = 2 * 1024 * 1024
"""Bytes of a request body; Shimmy 2.6 refuses longer ones."""
_IGNORED: Final = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"})
"""Accepted without effect: none of them is about the answer."""
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
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
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
"""Parameters that are honoured only where they ask for what happens anyway."""


class RefusedError(Exception):
    """The request is refused; nothing has reached the engine."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.code)
        self.error = error


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextPart(_Body):
    """A part of a message; other types than text are refused."""

    type: Literal["text"]
    text: str


class ChatMessage(_Body):
    """One turn of a conversation."""

    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: str | Annotated[list[TextPart], Field(min_length=1)]

    @property
    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class StreamOptions(_Body):
    """What a stream carries beside text."""

    include_usage: bool = False


class _Sampling(_Body):
    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(max_length=4)] | None = None


class _ChatBody(_Sampling):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


class _CompletionBody(_Sampling):
    prompt: Annotated[str, Field(min_length=1)]


_T = TypeVar("_T", bound=_Sampling)


@dataclass(frozen=True, slots=True)
class Generation:
    """One request to the model, independent of the line of Shimmy that will serve it."""

    messages: tuple[tuple[str, str], ...] = ()
    """Role and text of each turn; empty for a completion."""
    prompt: str = ""
    """Text to go on from, for a completion."""
    model: str | None = None
    """As the caller named it."""
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @property
    def chat(self) -> bool:
        """Whether this is a conversation rather than a text to go on from."""
        return bool(self.messages)


def parse_chat(body: bytes) -> Generation:
    """Read the body of POST /v1/chat/completions.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = _validate(_ChatBody, body)
    messages = tuple((message.role, message.text) for message in parsed.messages)
    return _generation(parsed, messages=messages, max_tokens=parsed.max_completion_tokens or parsed.max_tokens)


def parse_completion(body: bytes) -> Generation:
    """Read the body of POST /v1/completions.

    Raises:
        RefusedError: with the 400 for the caller.
    """
    parsed = _validate(_CompletionBody, body)
    return _generation(parsed, prompt=parsed.prompt, max_tokens=parsed.max_tokens)


def _generation(parsed: _Sampling, **rest: Any) -> Generation:
    stop = parsed.stop or ()
    return Generation(
        model=parsed.model,
        stream=parsed.stream,
        include_usage=parsed.stream_options.include_usage,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        seed=parsed.seed,
        stop=(stop,) if isinstance(stop, str) else tuple(text for text in stop if text),
        **rest,
    )


def _validate(kind: type[_T], body: bytes) -> _T:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(INVALID_JSON) from error
    if not isinstance(values, dict):
        raise RefusedError(INVALID_JSON)
    if "\\u0000" in body.decode(errors="replace"):
        raise RefusedError(ApiError(400, "invalid_value", "The request contains the character U+0000."))
    given = {key: value for key, value in values.items() if value is not None and key not in _IGNORED}
    for key in sorted(given.keys() - kind.model_fields.keys()):
        _refuse_unless_neutral(key, given[key])
    try:
        return kind.model_validate_json(json.dumps({key: given[key] for key in given if key in kind.model_fields}))
    except ValidationError as error:
        raise RefusedError(_explain(error)) from error


def _refuse_unless_neutral(key: str, value: Any) -> None:
    if key in _NEUTRAL and value in _NEUTRAL[key]:
        return
    what = "this value of the parameter" if key in _NEUTRAL else "the parameter"
    message = f"The model's engine does not support {what} {key[:64]!r}. Leave it out."
    raise RefusedError(ApiError(400, "unsupported_parameter", message, param=key[:64]))


def _explain(error: ValidationError) -> ApiError:
    """The first problem, without the value: it may be a part of a prompt."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("list[", "constrained-", "str")))
    code = "missing_parameter" if first["type"] == "missing" else "invalid_value"
    return ApiError(400, code, f"{where}: {first['msg']}.", param=where)
