"""Lists of a tenant's models, as each API's clients want them. Pure.

Sources: https://platform.openai.com/docs/api-reference/models, https://docs.anthropic.com/en/api/models-list,
https://github.com/ollama/ollama, docs/api.md, and src/api.rs of shimmy 2.6.5.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from shimmy_router.fleet import Model

LATEST: Final = ":latest"
"""Tag that Ollama's clients may add to a name, or leave out."""
READY: Final = "Ready"
UNAVAILABLE: Final = "Unavailable"
"""No pod of the model takes requests."""
ASLEEP: Final = "Asleep"
"""Neither, but a request waits for one."""
_UNKNOWN_TIME: Final = "1970-01-01T00:00:00Z"
_NO_DIGEST: Final = "0" * 64
"""Ollama's client shows its first 12 characters."""
_NEVER: Final = "9999-12-31T23:59:59Z"


def named(found: Sequence[Model]) -> Iterator[tuple[str, Model]]:
    """Every name under which one of these models can be asked for, sorted, and that model."""
    return iter(sorted(((name, m) for m in found for name in (m.name, *m.aliases)), key=lambda pair: pair[0]))


def by_request(found: Sequence[Model]) -> dict[str, Model]:
    """Which of these models a request means, by what it asks for without Ollama's default tag.

    A name that has the tag stands behind one that is the same without.
    """
    tagged = {name.removesuffix(LATEST): model for name, model in named(found)}
    return tagged | {name: model for name, model in named(found) if not name.endswith(LATEST)}


def model_object(name: str, model: Model) -> dict[str, Any]:
    """The model for OpenAI's clients and, from `type` on, for Anthropic's, which ask at the same address."""
    state = READY if model.ready else ASLEEP if model.asleep else UNAVAILABLE
    openai = {"id": name, "object": "model", "created": 0, "owned_by": model.owner, "state": state}
    return openai | {"type": "model", "display_name": name, "created_at": _UNKNOWN_TIME}


def models(found: Sequence[Model]) -> dict[str, Any]:
    """Answer to GET /v1/models."""
    data = [model_object(name, model) for name, model in named(found)]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data} | ends | {"has_more": False}


def ollama_tags(found: Sequence[Model]) -> dict[str, Any]:
    """Answer to GET /api/tags."""
    return {"models": [_ollama(name) | {"modified_at": _UNKNOWN_TIME} for name, _ in named(found)]}


def ollama_running(found: Sequence[Model]) -> dict[str, Any]:
    """Answer to GET /api/ps: the models that a pod of takes requests."""
    running = [name for name, model in named(found) if model.ready]
    return {"models": [_ollama(name) | {"expires_at": _NEVER, "size_vram": 0} for name in running]}


def shimmy_models(found: Sequence[Model]) -> dict[str, Any]:
    """Answer to GET /api/models."""
    return {"models": [{"name": name, "source": "registered"} for name, _ in named(found)]}


def _ollama(name: str) -> dict[str, Any]:
    details = {"parent_model": "", "format": "gguf", "family": "", "families": [], "parameter_size": ""}
    return {
        "name": name,
        "model": name,
        "size": 0,
        "digest": _NO_DIGEST,
        "details": details | {"quantization_level": ""},
    }


def dump(value: dict[str, Any]) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))
