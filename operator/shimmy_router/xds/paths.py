"""What the router takes: the APIs of OpenAI, Anthropic, Ollama and Shimmy. Pure.

Requests for a model go to a runner, which knows the same paths: shimmy_engine.api.
"""

from collections.abc import Mapping
from typing import Final

from shimmy_api.unsupported import UNSUPPORTED

GENERATE: Final = "/api/generate"
"""Ollama's, or Shimmy's where the client asks for server-sent events."""
API_PATHS: Final = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/completions",
    "/v1/responses",
    "/api/chat",
    GENERATE,
    "/v1/messages/count_tokens",
    "/api/show",
)
"""POST with the model in the body, the most frequent first: Envoy compares them one after another."""
SOCKET_PATH: Final = "/ws/generate"
"""WebSocket, with the model in the query or a header."""
MODELS_PATH: Final = "/v1/models"
OLLAMA_TAGS: Final = "/api/tags"
OLLAMA_RUNNING: Final = "/api/ps"
OLLAMA_VERSION: Final = "/api/version"
SHIMMY_MODELS: Final = "/api/models"
ROOT: Final = "/"

LISTS: Final = (MODELS_PATH, OLLAMA_TAGS, OLLAMA_RUNNING, OLLAMA_VERSION, SHIMMY_MODELS, ROOT)
"""GET, answered by Envoy itself."""


def by_methods() -> Mapping[str, list[str]]:
    """For each set of methods, as the header Allow says it, the paths that take just these, in Starlette's notation."""
    taken: dict[str, set[str]] = {}
    for path in API_PATHS:
        taken.setdefault(path, set()).add("POST")
    for path in (*LISTS, f"{MODELS_PATH}/{{name}}"):
        taken.setdefault(path, set()).update({"GET", "HEAD"})
    taken[SOCKET_PATH] = {"GET"}
    for method, path, _ in UNSUPPORTED:
        taken.setdefault(path, set()).add(method)
    found: dict[str, list[str]] = {}
    for path, methods in taken.items():
        found.setdefault(", ".join(sorted(methods)), []).append(path)
    return found
