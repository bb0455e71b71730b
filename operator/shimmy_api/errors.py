"""Errors in the shape of OpenAI's API: {"error": {"message", "type", "param", "code"}}.

Source: https://platform.openai.com/docs/guides/error-codes/api-errors and the `Error` schema of openai/openai-openapi.
"""

import json
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ApiError:
    """One kind of refusal, as the client sees it.

    `retry_after` is in seconds and goes into the Retry-After header (RFC 9110, section 10.2.3).
    """

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    retry_after: int | None = None

    def body(self) -> bytes:
        """The JSON body."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}, separators=(",", ":")).encode()


MISSING_KEY: Final = ApiError(
    401,
    "missing_api_key",
    "No API key given. Send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'.",
    type="authentication_error",
)
INVALID_KEY: Final = ApiError(
    401,
    "invalid_api_key",
    "The API key is not known here. It may be mistyped, expired or revoked; ask the tenant's owner.",
    type="authentication_error",
)
INVALID_JSON: Final = ApiError(400, "invalid_json", "The request body is not a JSON object.")
NO_MODEL: Final = ApiError(
    400,
    "missing_model",
    "The request body names no model. Set 'model'; GET /v1/models lists them.",
    param="model",
)
MODEL_NOT_FOUND: Final = ApiError(
    404,
    "model_not_found",
    "This key can use no model of that name. GET /v1/models lists the models that it can use.",
    param="model",
)
MODEL_UNAVAILABLE: Final = ApiError(
    503,
    "model_unavailable",
    "The model is known but no pod of it is ready. Try again later.",
    type="server_error",
    param="model",
    retry_after=5,
)
MODEL_WAKING: Final = ApiError(
    503,
    "model_waking",
    "No pod of the model is running; one is being started. Try again after the time in Retry-After.",
    type="server_error",
    param="model",
)
TOO_MANY_HELD: Final = ApiError(
    503,
    "too_many_held",
    "The model is being started, and no more requests can wait for it. Try again after the time in Retry-After.",
    type="server_error",
    param="model",
)
MODEL_NOT_LOADED: Final = ApiError(
    503,
    "model_not_loaded",
    "The model is not loaded in this pod. Try again: another one may have it.",
    type="server_error",
    param="model",
    retry_after=1,
)
MOVED: Final = ApiError(
    503,
    "moved",
    "The request waited here, and another pod is idle now. Try again.",
    type="server_error",
    retry_after=1,
)
"""From a runner to the router, which sends the request to that pod; no client sees it."""
NOT_FOUND: Final = ApiError(404, "not_found", "There is nothing at this path.")
METHOD_NOT_ALLOWED: Final = ApiError(405, "method_not_allowed", "This path does not take this method.")
QUEUE_FULL: Final = ApiError(
    429,
    "queue_full",
    "Too many requests wait for this model. Try again later.",
    type="rate_limit_error",
    retry_after=1,
)
TOO_MANY_REQUESTS: Final = ApiError(
    429,
    "rate_limit_exceeded",
    "Too many requests in a minute for this tenant or key. Try again after the time that Retry-After gives.",
    type="requests",
)
TOO_MANY_AT_A_TIME: Final = ApiError(
    429,
    "concurrency_limit_exceeded",
    "Too many requests at a time for this tenant or key. Try again when one of them has ended.",
    type="requests",
)
TOO_MANY_TOKENS: Final = ApiError(
    429,
    "rate_limit_exceeded",
    "Too many tokens in a minute for this tenant. Try again after the time that Retry-After gives.",
    type="tokens",
)
UNTRUSTED_CALLER: Final = ApiError(
    403, "untrusted_caller", "Requests reach an engine only through the router.", type="permission_error"
)
ENGINE_FAILED: Final = ApiError(
    502, "engine_failed", "The engine failed while it answered.", type="server_error", retry_after=1
)
DRAINING: Final = ApiError(
    503,
    "draining",
    "This pod is shutting down. Try again: another one answers.",
    type="server_error",
    retry_after=1,
)
BAD_REQUEST: Final = ApiError(400, "bad_request", "The request is not valid HTTP.")
BODY_TOO_LARGE: Final = ApiError(413, "body_too_large", "The request body is longer than 10 MiB.")
HEADERS_TOO_LARGE: Final = ApiError(431, "headers_too_large", "The request's headers are too long.")
REQUEST_TIMEOUT: Final = ApiError(408, "request_timeout", "The request did not arrive in time.")
ENGINE_TIMEOUT: Final = ApiError(
    504, "engine_timeout", "The model did not answer within the time that its instance allows.", type="server_error"
)
AGENT_AWAY: Final = ApiError(
    503,
    "decision_unavailable",
    "The router cannot decide on this request at the moment. Try again later.",
    type="server_error",
    retry_after=1,
)
ROUTER_FAILED: Final = ApiError(500, "router_failed", "The router failed.", type="server_error", retry_after=1)
OVERLOADED: Final = ApiError(
    503, "overloaded", "The router is overloaded. Try again later.", type="server_error", retry_after=1
)
