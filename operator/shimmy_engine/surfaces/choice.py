"""Which API a request belongs to, known or not: its errors are written in that API's words."""

from collections.abc import Mapping
from typing import Final

from shimmy_engine.surfaces.anthropic import ANTHROPIC
from shimmy_engine.surfaces.ollama import OLLAMA
from shimmy_engine.surfaces.openai import OPENAI
from shimmy_engine.surfaces.shape import EVENT_STREAM, Surface
from shimmy_engine.surfaces.shimmy import SHIMMY

GENERATE: Final = "/api/generate"
"""Shimmy's where the client asks for server-sent events, else Ollama's."""


def surface_of(path: str, headers: Mapping[str, str]) -> Surface:
    """The API of a request; `headers` have lower-case names."""
    if path == GENERATE and EVENT_STREAM in headers.get("accept", ""):
        return SHIMMY
    if path in ("/api/models", "/ws/generate"):
        return SHIMMY
    if path == "/" or path.startswith("/api/"):
        return OLLAMA
    if path.startswith("/v1/messages") or (path.startswith("/v1/models") and "anthropic-version" in headers):
        return ANTHROPIC
    return OPENAI
