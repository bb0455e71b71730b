"""Errors in the words of APIs other than OpenAI's.

Sources: https://docs.anthropic.com/en/api/errors and `ErrorDetails` in anthropics/anthropic-sdk-python;
https://github.com/ollama/ollama, docs/api.md.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from shimmy_api.errors import ApiError

ANTHROPIC_REQUEST_ID: Final = "request-id"
"""Header in which Anthropic's clients look for a request's id."""
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def anthropic_error(error: ApiError) -> dict[str, Any]:
    """The object `error`. Our code stands where Anthropic's own finer codes stand."""
    other = "invalid_request_error" if error.status < 500 else "api_error"
    kind = _ANTHROPIC_TYPES.get(error.status, other)
    return {"type": kind, "message": error.message, "details": {"error_code": error.code}}


def anthropic_body(error: ApiError, request_id: str) -> bytes:
    """The whole body."""
    return _dump({"type": "error", "error": anthropic_error(error), "request_id": request_id})


def ollama_body(error: ApiError) -> bytes:
    """An error as Ollama's clients read it, with our code beside it. ASCII alone: see the runner's Ollama surface."""
    return _dump({"error": error.message, "code": error.code})


def extra_headers(error: ApiError) -> Mapping[str, str]:
    """Headers of an answer with this error.

    What is not implemented will not be so at the next try either; the clients of OpenAI and Anthropic, which repeat
    every 5xx, take that from x-should-retry (`_should_retry` in their _base_client.py).
    """
    extra = {"retry-after": str(error.retry_after)} if error.retry_after else {}
    if error.status == 501:
        extra["x-should-retry"] = "false"
    return extra


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
