"""What differs between the two lines of Shimmy that the runner serves; everything else treats them alike.

Measured on shimmy 1.8.1 (llama.cpp) and 2.6.5 (Airframe). Neither is asked for anything that it gets wrong: the runner
always says `stream` and `max_tokens` itself, never relies on usage where it is zero, and cuts at stop strings itself.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from shimmy_engine.requests import Generation
from shimmy_engine.templates import STEMS, Family

LineName = Literal["llama", "airframe"]


@dataclass(frozen=True, slots=True)
class Line:
    """The quirks of one line."""

    name: LineName
    context_limit: int
    """Largest context, in tokens, whatever the model was trained for."""
    default_context: int
    """Context where none is asked for: memory for all of it is taken at the start."""
    context_flag: bool
    """Whether `--ctx` sets the context."""
    counts_prompt: bool
    """Whether the engine tells the number of prompt tokens; else the runner tokenises."""
    streams_completions: bool
    """Whether /api/generate can be streamed. On 2.6 a token with a carriage return cuts that stream."""
    chat_ends_with_user: bool
    """Whether a conversation whose last message is not the user's gets damaged (its last message is dropped)."""

    def stem(self, family: Family) -> str:
        """File stem to give the model, which is the name that Shimmy knows it by.

        1.8 picks the chat template by it, and 2.6 changes the prompts of models named after qwen or deepseek-r1; so
        the name that the user chose never gets there.
        """
        return STEMS[family] if self.name == "llama" else "model"

    def arguments(self, *, port: int, model_path: str, context: int) -> list[str]:
        """Command line after the binary's path."""
        arguments = ["serve", "--bind", f"127.0.0.1:{port}", "--model-path", model_path]
        return [*arguments, "--ctx", str(context)] if self.context_flag else arguments

    def request(self, generation: Generation, *, model: str, max_tokens: int) -> tuple[str, dict[str, Any]]:
        """Path and JSON body of the one upstream call that gets this generation done."""
        body: dict[str, Any] = {"model": model, "max_tokens": max_tokens}
        if generation.temperature is not None:
            body["temperature"] = generation.temperature
        if generation.top_p is not None:
            body["top_p"] = generation.top_p
        if generation.chat:
            body["messages"] = _messages(generation)
            body["stream"] = True
            if self.counts_prompt:
                body["stream_options"] = {"include_usage": True}
            return "/v1/chat/completions", body
        return "/api/generate", body | self._raw(generation) | {"stream": self.streams_completions}

    def probe(self, generation: Generation, *, model: str) -> dict[str, Any]:
        """Body of POST /api/generate that computes nothing and answers with the number of prompt tokens."""
        body = {"model": model, "max_tokens": 0, "stream": False}
        return body | ({"messages": _messages(generation)} if generation.chat else self._raw(generation))

    def _raw(self, generation: Generation) -> dict[str, Any]:
        return {"prompt": generation.prompt} | ({"raw_prompt": True} if self.counts_prompt else {})


def _messages(generation: Generation) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in generation.messages]


LINES: Final[dict[LineName, Line]] = {
    "llama": Line(
        "llama",
        context_limit=4096,
        default_context=4096,
        context_flag=False,
        counts_prompt=False,
        streams_completions=True,
        chat_ends_with_user=True,
    ),
    "airframe": Line(
        "airframe",
        context_limit=131_072,
        default_context=8192,
        context_flag=True,
        counts_prompt=True,
        streams_completions=False,
        chat_ends_with_user=False,
    ),
}
