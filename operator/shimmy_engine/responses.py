"""Pieces of the HTTP server: refusals, headers, the watch on a client, a streamed answer with trailers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shimmy_api import headers
from shimmy_api.error_shapes import extra_headers
from shimmy_api.errors import ApiError
from shimmy_engine.results import Usage
from shimmy_engine.surfaces.openai import OPENAI
from shimmy_engine.surfaces.shape import Surface

Headers = dict[str, str]


def refusal(error: ApiError, surface: Surface = OPENAI, request_id: str = "") -> Response:
    """The error as a response of this API."""
    return Response(surface.error(error, request_id), error.status, dict(extra_headers(error)), "application/json")


def usage_headers(usage: Usage) -> Headers:
    """Token counts, as headers of a JSON answer or trailers of a stream."""
    return {
        headers.PROMPT_TOKENS: str(usage.prompt_tokens),
        headers.COMPLETION_TOKENS: str(usage.completion_tokens),
    }


class ClientWatch:
    """Notices when the client closes its connection or stream before it has its answer."""

    def __init__(self, receive: Receive) -> None:
        """`receive` is the request's, whose body has been read."""
        self.left = False
        self._receive = receive
        self._callback: Callable[[], object] = lambda: None
        self._task = asyncio.create_task(self._watch())

    def on_leave(self, callback: Callable[[], object]) -> None:
        """Call `callback`, instead of an earlier one, when the client leaves; at once where it has left already."""
        self._callback = callback
        if self.left:
            callback()

    def end(self) -> None:
        """Stop watching."""
        self._task.cancel()

    async def _watch(self) -> None:
        while not (await self._receive())["type"].endswith(".disconnect"):
            pass
        self.left = True
        self._callback()


class StreamedAnswer(Response):
    """A response whose body comes in pieces and whose usage follows in trailers, where the client takes them.

    HTTP/1.1 clients and those that do not say `te: trailers` get the body alone.
    """

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        media_type: str,
        headers: Headers,
        trailers: Callable[[], Headers],
        end: Callable[[], None],
    ) -> None:
        """`trailers` is asked once the body is complete; `end` is called in every case, last."""
        super().__init__(None, 200, {"cache-control": "no-cache"} | headers, media_type)
        self._pieces = body
        self._trailers = trailers
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it (https://asgi.readthedocs.io/en/latest/extensions.html#http-trailers)."""
        supported = "http.response.trailers" in scope.get("extensions", {})
        raw = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": raw, "trailers": supported})
            async for piece in self._pieces:
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if supported:
                await send({"type": "http.response.trailers", "headers": _raw(self._trailers().items())})
        finally:
            self._end()


def _raw(items: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in items]
