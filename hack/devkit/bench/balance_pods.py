"""Pods of benchmarks, all in one process: `python -m devkit.bench.balance_pods [--host ADDRESS] PORT...`.

Each has the runner's own gate and load stream; in place of an engine it sleeps for as long as a request says.
"""

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shimmy_api import headers
from shimmy_engine.callers import caller_of
from shimmy_engine.gate import Gate, MovedError, QueueFullError
from shimmy_engine.load import LoadStreams

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

SECONDS = "x-bench-seconds"
"""Of an answer: how long it took in the pod, without the wait."""


class Pod:
    """One pod."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._gate = Gate(queue=64)
        self._loads = LoadStreams(self._gate)

    def app(self) -> Starlette:
        """Its ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._answer, methods=["POST"]),
                Route("/internal/load", self._load),
                Route("/internal/release", self._release, methods=["POST"]),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        asked = await request.json()
        caller = caller_of(request.headers, "", None)
        try:
            await self._gate.enter(caller.model, caller.share, movable=caller.movable)
        except MovedError:
            return Response(status_code=503)
        except QueueFullError:
            return Response(status_code=429)
        clock = asyncio.get_running_loop().time
        begin = clock()
        try:
            await asyncio.sleep(asked.get("seconds", 0.0))
        finally:
            self._gate.leave()
        extra = {SECONDS: f"{clock() - begin:.6f}", headers.POD: self._name}
        return JSONResponse({"choices": []}, headers=extra)

    async def _load(self, request: Request) -> Response:
        return self._loads.answer(request)

    async def _release(self, request: Request) -> Response:
        query = request.query_params
        return Response(status_code=self._loads.release(query["model"], query["to"]).value)


async def _run(host: str, ports: list[int]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as group:
        for port in ports:
            config = Config()
            config.bind = [f"{host}:{port}"]
            config.accesslog = config.errorlog = None
            config.graceful_timeout = 0.1
            config.keep_alive_max_requests = sys.maxsize
            app = cast("ASGIFramework", Pod(f"pod-{port}").app())
            group.create_task(serve(app, config, shutdown_trigger=stopped.wait))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("ports", type=int, nargs="+")
    given = parser.parse_args()
    asyncio.run(_run(given.host, given.ports))
