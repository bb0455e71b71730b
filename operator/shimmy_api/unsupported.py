"""Operations of the APIs that no engine of the fleet has: they are refused by name, not as unknown paths."""

from typing import Final

from shimmy_api.errors import ApiError

_NO_EMBEDDINGS: Final = "give no embeddings"
_NO_MODELS: Final = "take no models from a client: create a ShimmyModel"
UNSUPPORTED: Final = (
    ("POST", "/v1/embeddings", _NO_EMBEDDINGS),
    ("POST", "/api/embed", _NO_EMBEDDINGS),
    ("POST", "/api/embeddings", _NO_EMBEDDINGS),
    ("POST", "/api/pull", _NO_MODELS),
    ("POST", "/api/push", "send no models anywhere"),
    ("POST", "/api/create", _NO_MODELS),
    ("POST", "/api/copy", _NO_MODELS),
    ("DELETE", "/api/delete", "delete no models for a client: delete the ShimmyModel"),
    ("POST", "/api/blobs/{digest}", _NO_MODELS),
    ("HEAD", "/api/blobs/{digest}", _NO_MODELS),
)
"""Method, path in Starlette's notation, and what the engines do not do."""


def unsupported(what: str) -> ApiError:
    """The error for one of them."""
    return ApiError(501, "unsupported_operation", f"The engines behind this address {what}.")
