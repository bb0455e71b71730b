"""An Envoy with the router's own listener, routes of the test's, and an agent that the test decides for."""

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from google.protobuf.message import Message
from tests.dataplane.plane import HOST, START, key_of

from devkit.ports import free
from devkit.waiting import until
from shimmy_router.bootstrap import BootstrapSettings, bootstrap
from shimmy_router.processing import Admitted, Call, Decide, ProcessingService, Refused
from shimmy_router.xds.clusters import HTTP_OPTIONS, http2

MAX_CALLS: Final = 4
"""Instead of the bound that the bootstrap sets."""


@dataclass
class Record:
    """One call of Envoy's."""

    kinds: list[str] = field(default_factory=list)
    """Of its messages, in their order."""
    headers: list[str] = field(default_factory=list)
    """Names of the request's headers that it saw."""
    call: Call | None = None
    open: bool = True


class Agent:
    """Serves ext_proc, and keeps what it was asked."""

    def __init__(self, socket: Path) -> None:
        self.calls: list[Record] = []
        self.decide: Decide = _admit
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: grpc.aio.Server | None = None

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._socket.unlink(missing_ok=True)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Recording(self).handler(),))
        self._server.add_insecure_port(f"unix:{self._socket}")
        await self._server.start()

    async def _stop(self) -> None:
        if self._server:
            await self._server.stop(0)
            self._server = None


class _Recording(ProcessingService):
    """The product's service, which also notes what passes."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        super().__init__(self._noted)

    async def _noted(self, call: Call) -> Admitted | Refused:
        self._agent.calls[-1].call = call
        return await self._agent.decide(call)

    async def _process(self, requests: AsyncIterator[Message], context: grpc.aio.ServicerContext) -> None:
        record = Record()
        self._agent.calls.append(record)
        try:
            await super()._process(requests, _Noting(context, record))
        finally:
            record.open = False


class _Noting:
    """A call's context that notes what is read."""

    def __init__(self, context: grpc.aio.ServicerContext, record: Record) -> None:
        self._context = context
        self._record = record
        self.write = context.write
        self.invocation_metadata = context.invocation_metadata

    async def read(self) -> Message:
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            self._record.kinds.append(message.WhichOneof("request"))
            self._record.headers += [header.key for header in message.request_headers.headers.headers]
        return message


async def _admit(_: Call) -> Admitted | Refused:
    return Admitted()


@dataclass(frozen=True)
class Setup:
    """Everything that a test may look at."""

    agent: Agent
    url: str

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {key_of('t')}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)


@contextmanager
def setup(folder: Path, routes: Sequence[dict[str, Any]], port: int) -> Iterator[Setup]:
    """An Envoy with these routes; "up" is the cluster of the port."""
    (listen,) = free(1)
    folder.mkdir(exist_ok=True)
    leaving = folder / "leaving"
    leaving.write_text("0")
    settings = BootstrapSettings(
        "test", folder / "agent.sock", folder / "admin.sock", HOST, listen, leaving_file=leaving
    )
    config = bootstrap(settings)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["scoped_routes"], manager["access_log"], config["dynamic_resources"]
    # What comes by discovery has no source here, and concerns tokens only.
    manager["http_filters"] = [each for each in manager["http_filters"] if "config_discovery" not in each]
    host = {"name": "all", "domains": ["*"], "routes": [*routes]}
    manager["route_config"] = {"name": "test", "virtual_hosts": [host]}
    for cluster in config["static_resources"]["clusters"]:
        cluster["circuit_breakers"]["thresholds"][0]["max_requests"] = MAX_CALLS
    endpoint = {"endpoint": {"address": {"socket_address": {"address": HOST, "port_value": port}}}}
    for name, options in (("up", {HTTP_OPTIONS: http2()}), ("up-http1", {})):
        config["static_resources"]["clusters"].append(
            {
                "name": name,
                "type": "STATIC",
                "typed_extension_protocol_options": options,
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
            }
        )
    (folder / "envoy.json").write_text(json.dumps(config))
    agent = Agent(folder / "agent.sock")
    command = ["envoy", "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--log-level", "warning"], stdout=log, stderr=log, env=os.environ)
        try:
            agent.start()
            started = Setup(agent, f"http://{HOST}:{listen}")
            until(lambda: _ready(started.url), "Envoy", seconds=START)
            yield started
        finally:
            process.terminate()
            process.wait(20)
            agent.close()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False
