"""The runner's private interface, on a port of its own: which model is served, and the order to change it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shimmy_api import headers
from shimmy_api.errors import MODEL_NOT_FOUND, ApiError
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.responses import refusal
from shimmy_engine.slot import Slot, SwapBusyError, SwapFailedError, UnknownModelError

Trusted = Callable[[Request], ApiError | None]
"""Says why a caller is not trusted; None where it is."""


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str


def admin_app(slot: Slot, trusted: Trusted) -> Starlette:
    """The application."""

    async def show(_request: Request) -> Response:
        loaded = {"models": sorted(slot.models), "model": slot.model, "loading": slot.target}
        return _json(loaded | {"ready": slot.served.supervisor.ready})

    async def load(request: Request) -> Response:
        try:
            order = _Order.model_validate_json(await request.body())
        except ValidationError:
            return refusal(ApiError(400, "invalid_value", 'The body must be {"model": NAME}.', param="model"))
        try:
            swap = await slot.load(order.model)
        except UnknownModelError:
            return refusal(MODEL_NOT_FOUND)
        except SwapBusyError as error:
            return _refuse(409, "swap_in_progress", f"This pod is loading {error} already.")
        except GgufError as error:
            return _refuse(409, "model_unusable", f"{error.reason}: {error.message}")
        except SwapFailedError as error:
            return _refuse(502, "swap_failed", f"{order.model} gave no answer: {error}. {slot.model} is back.")
        return _json({"model": swap.now, "previous": swap.before, "seconds": round(swap.seconds, 3)})

    def guarded(do: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            error = trusted(request)
            response = refusal(error) if error else await do(request)
            response.headers[headers.MODEL] = slot.model
            return response

        return answer

    return Starlette(
        routes=[
            Route("/admin/models", guarded(show), methods=["GET"]),
            Route("/admin/load", guarded(load), methods=["POST"]),
        ]
    )


def _refuse(status: int, code: str, message: str) -> Response:
    return refusal(ApiError(status, code, message, type="server_error", param="model"))


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), media_type="application/json")
