"""The one call to Shimmy that gets a generation done, in each build's words. Pure."""

import secrets
from typing import Any

from shimmy_engine.quirks import Quirks
from shimmy_engine.requests import Generation


def command_line(quirks: Quirks, *, port: int, model_path: str, context: int) -> list[str]:
    """Arguments after the program's path."""
    arguments = ["serve", "--bind", f"127.0.0.1:{port}", "--model-path", model_path]
    return [*arguments, "--ctx", str(context)] if quirks.context_setting == "flag" else arguments


def request(quirks: Quirks, generation: Generation, *, model: str, max_tokens: int) -> tuple[str, dict[str, Any]]:
    """Path and JSON body of the call."""
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens}
    if generation.temperature is not None:
        body["temperature"] = generation.temperature
    if generation.top_p is not None:
        body["top_p"] = generation.top_p
    if quirks.takes_seed:  # 2.6 would draw the same text each time
        body["seed"] = secrets.randbits(32) if generation.seed is None else generation.seed % (1 << 32)
    if generation.chat:
        body["messages"] = _messages(generation)
        body["stream"] = True
        if quirks.reports_usage:
            body["stream_options"] = {"include_usage": True}
        return "/v1/chat/completions", body
    return "/api/generate", body | _raw(quirks, generation) | {"stream": quirks.streams_completions}


def probe(quirks: Quirks, generation: Generation, *, model: str) -> dict[str, Any]:
    """Body of POST /api/generate that computes nothing and answers with the number of prompt tokens."""
    body = {"model": model, "max_tokens": 0, "stream": False}
    return body | ({"messages": _messages(generation)} if generation.chat else _raw(quirks, generation))


def _raw(quirks: Quirks, generation: Generation) -> dict[str, Any]:
    return {"prompt": generation.prompt} | ({"raw_prompt": True} if quirks.line == "airframe" else {})


def _messages(generation: Generation) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in generation.messages]
