"""Command line and routing of the fake."""

import argparse
import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.fakes.shimmy.airframe import Airframe
from tests.fakes.shimmy.answers import Switches
from tests.fakes.shimmy.common import Refused, say
from tests.fakes.shimmy.llama import Llama
from tests.fakes.shimmy.wire import Connection, Reply, Request, handle


class Fake:
    """One process's state."""

    def __init__(self, engine: Llama | Airframe, *, fleet: bool) -> None:
        self._engine = engine
        self._fleet = fleet

    async def serve(self, host: str, port: int) -> None:
        """Listen until the process ends."""
        server = await asyncio.start_server(
            lambda reader, writer: handle(reader, writer, self.answer, self._engine.common), host, port, backlog=256
        )
        say(f"Starting server on {host}:{port}")
        async with server:
            await server.serve_forever()

    async def answer(self, request: Request, connection: Connection) -> None:
        """Route one request."""
        engine = self._engine
        if "origin" in request.headers and isinstance(engine, Airframe):
            error = {"message": "Browser origin is not allowed", "type": "permission_error"}
            connection.reply(Reply.json({"error": error}, 403))
        elif request.path == "/cancel" and self._fleet:
            if request.method == "POST":
                engine.cancel()
            connection.reply(Reply(204 if request.method == "POST" else 405))
        elif request.path in engine.routes:
            if request.method != "POST":
                connection.reply(Reply(405))
                return
            try:
                await engine.routes[request.path](request, connection)
            except Refused as error:
                connection.reply(error.reply)
        else:
            connection.reply(self._about(request))

    def _about(self, request: Request) -> Reply:
        engine = self._engine
        if request.path == "/health":
            models = {"total": len(engine.models), "discovered": 0, "manual": len(engine.models)}
            about = {"status": "ok", "service": "shimmy", "version": engine.version, "models": models}
            return Reply.json(about) if request.method in ("GET", "HEAD") else Reply(405)
        if request.path == "/v1/models":
            listed = [
                {"id": model, "object": "model", "created": int(time.time()), "owned_by": "shimmy"}
                for model in engine.models
            ]
            return Reply.json({"object": "list", "data": listed})
        return Reply(404)


def main() -> None:
    """Run `shimmy serve` or `shimmy --version`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="shimmy")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("command", nargs="?", choices=["serve"])
    parser.add_argument("--line", choices=["llama", "airframe"])
    parser.add_argument("--bind", default="127.0.0.1:11435")
    parser.add_argument("--model-path")
    parser.add_argument("--ctx", type=int)
    arguments = parser.parse_args()
    switches = Switches.from_environment()
    line = arguments.line or switches.line
    if arguments.version:
        say(f"shimmy {'2.6.5' if line == 'airframe' else '1.8.1'}{'+fleet.1' if switches.fleet else ''}")
        return
    path = Path(arguments.model_path or "")
    if not path.is_file():
        sys.exit(f"❌ Model file not found: {path}")
    if path.resolve().name.startswith("garbage"):
        switches = replace(switches, fault="garbage")
    time.sleep(switches.start_seconds)
    engine = (Airframe if line == "airframe" else Llama)(path.stem, switches)
    host, _, port = arguments.bind.rpartition(":")
    if line == "airframe" and host != "127.0.0.1" and not os.environ.get("SHIMMY_API_KEY"):
        sys.exit("❌ a bind off loopback needs SHIMMY_API_KEY")
    asyncio.run(Fake(engine, fleet=switches.fleet).serve(host, int(port)))
