"""Many pods in one process, each at an address of its own: `python -m devkit.bench.watch.pods PORT RATE`.

They tell their load as the runner does. From SIGUSR1 on requests begin and end in them, RATE times a second. Only a
kill ends them.
"""

import argparse
import asyncio
import random
import signal
import sys
from typing import TYPE_CHECKING, Final, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shimmy_engine.gate import Gate
from shimmy_engine.load import LoadStreams

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_BACKLOG: Final = 4096
"""The agent comes to all of them at once."""
_STEP_SECONDS: Final = 0.05


class Pods:
    """By address."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[Gate, LoadStreams]] = {}

    async def load(self, request: Request) -> Response:
        """The stream of the pod that is asked."""
        address = str(request.url.hostname)
        if address not in self._pods:
            gate = Gate(queue=1)
            self._pods[address] = gate, LoadStreams(gate)
        return self._pods[address][1].answer(request)

    async def change(self, rate: float) -> None:
        """Begin requests in idle pods and end those of busy ones, for ever."""
        while True:
            for gate, _ in random.choices(list(self._pods.values()), k=round(rate * _STEP_SECONDS)):
                if gate.in_flight:
                    gate.leave()
                else:
                    await gate.enter()
            await asyncio.sleep(_STEP_SECONDS)


async def _run(port: int, rate: float) -> None:
    changing, pods = asyncio.Event(), Pods()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, changing.set)
    config = Config()
    config.bind = [f"0.0.0.0:{port}"]
    config.backlog = _BACKLOG
    config.accesslog = config.errorlog = None
    config.keep_alive_max_requests = sys.maxsize
    app = cast("ASGIFramework", Starlette(routes=[Route("/internal/load", pods.load)]))
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(app, config, shutdown_trigger=asyncio.Event().wait))
        await changing.wait()
        await pods.change(rate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=float)
    given = parser.parse_args()
    asyncio.run(_run(given.port, given.rate))
