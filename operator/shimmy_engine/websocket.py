"""WebSocket /ws/generate: one request, frames of text as it comes, one last frame with reason and usage."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from shimmy_api.errors import DRAINING, ApiError
from shimmy_engine.callers import caller_of
from shimmy_engine.exchange import ClientLeftError, Exchange
from shimmy_engine.failures import EngineFailedError
from shimmy_engine.requests import MAX_BODY, Generation, RefusedError
from shimmy_engine.responses import ClientWatch, Headers
from shimmy_engine.service import Service
from shimmy_engine.surfaces import shimmy
from shimmy_engine.surfaces.bodies import dump

_PATIENCE: Final = 30.0
"""Seconds from the opening to the request."""
_NO_REQUEST: Final = ApiError(408, "request_timeout", f"No request came within {_PATIENCE:.0f} s.")
_TOO_LARGE: Final = ApiError(413, "request_too_large", f"The request is longer than {MAX_BODY} bytes.")
_NOT_TEXT: Final = ApiError(400, "invalid_json", "The request must be one text frame with a JSON object.")
# https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
_NORMAL: Final = 1000
_POLICY: Final = 1008
_INTERNAL: Final = 1011
_TRY_AGAIN: Final = 1013


async def converse(
    websocket: WebSocket, service: Service, request_id: str, common: Headers, refusing: Callable[[], bool]
) -> None:
    """Serve one connection of a trusted caller; `common` are the headers of every answer of this pod."""
    await websocket.accept(headers=[(name.encode(), value.encode()) for name, value in common.items()])
    try:
        await _serve(websocket, service, request_id, refusing)
    except RefusedError as error:
        service.parts.metrics.refused.labels(error.error.code).inc()
        await _fail(websocket, error.error)
    except (ClientLeftError, WebSocketDisconnect):
        pass


async def _serve(websocket: WebSocket, service: Service, request_id: str, refusing: Callable[[], bool]) -> None:
    generation = await _request(websocket)
    if refusing():
        raise RefusedError(DRAINING)
    caller = replace(caller_of(websocket.headers, request_id, generation.model), movable=False)
    exchange = Exchange(service, generation, caller, ClientWatch(websocket.receive))
    answer = await exchange.open()
    try:
        async for text in answer.texts():
            for frame in shimmy.frames(text):
                await websocket.send_text(frame)
        await websocket.send_text(dump(shimmy.done(answer.result, caller.model)))
    except EngineFailedError as error:
        raise RefusedError(error.told) from error
    finally:
        exchange.end(answer)
    await websocket.close(_NORMAL)


async def _request(websocket: WebSocket) -> Generation:
    try:
        async with asyncio.timeout(_PATIENCE):
            message = await websocket.receive()
    except TimeoutError as error:
        raise RefusedError(_NO_REQUEST) from error
    if message["type"] == "websocket.disconnect":
        raise ClientLeftError
    frame = message.get("text")
    if frame is None:
        raise RefusedError(_NOT_TEXT)
    if len(frame) > MAX_BODY:
        raise RefusedError(_TOO_LARGE)
    return shimmy.parse_frame(frame)


async def _fail(websocket: WebSocket, error: ApiError) -> None:
    """The error as the last frame, and a close that says whose fault it was."""
    await websocket.send_text(error.body().decode())
    code = _POLICY if error.status < 500 else _INTERNAL
    await websocket.close(_TRY_AGAIN if error.retry_after else code, error.code)
