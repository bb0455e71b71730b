"""What the agent uses of an API server: lists and watches of its kinds, over HTTP. Objects live in memory."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import yaml
from aiohttp import web

from devkit.bench.fleet.objects import HOST, Object

_PATHS: Final = {
    "/apis/shimmy.dev/v1alpha1/shimmytenants": "ShimmyTenant",
    "/apis/shimmy.dev/v1alpha1/shimmymodels": "ShimmyModel",
    "/apis/shimmy.dev/v1alpha1/shimmyinstances": "ShimmyInstance",
    "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
    "/api/v1/namespaces/shimmy-system/secrets": "Secret",
    "/apis/discovery.k8s.io/v1/namespaces/shimmy-system/endpointslices": "Peers",
}

_BOOKMARK_SECONDS: Final = 30.0

Key = tuple[str, str]


class ApiServer:
    """Objects, and those who watch them."""

    def __init__(self) -> None:
        self._objects: defaultdict[str, dict[Key, Object]] = defaultdict(dict)
        self._watchers: defaultdict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)
        self._events: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self._version = 0

    def write(self, found: Object) -> None:
        """Create or replace an object."""
        known = self._objects[found["kind"]]
        kind = "MODIFIED" if _key(found) in known else "ADDED"
        known[_key(found)] = found
        self._tell(kind, found)

    def delete(self, found: Object) -> None:
        """Delete an object."""
        del self._objects[found["kind"]][_key(found)]
        self._tell("DELETED", found)

    def _tell(self, kind: str, found: Object) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        line = json.dumps({"type": kind, "object": found}).encode() + b"\n"
        self._events[found["kind"]].append((self._version, line))
        for queue in self._watchers[found["kind"]]:
            queue.put_nowait(line)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """List or watch."""
        kind = _PATHS[request.path]
        if "watch" not in request.query:
            listing = {"metadata": {"resourceVersion": str(self._version)}, "items": list(self._objects[kind].values())}
            return web.json_response(listing)
        response = web.StreamResponse()
        await response.prepare(request)
        since, queue = int(request.query["resourceVersion"]), asyncio.Queue[bytes]()
        for version, line in self._events[kind]:
            if version > since:
                queue.put_nowait(line)
        self._watchers[kind].add(queue)
        try:
            while True:
                await response.write(await self._next(queue))
        except ConnectionResetError:
            return response
        finally:
            self._watchers[kind].discard(queue)

    async def _next(self, queue: asyncio.Queue[bytes]) -> bytes:
        """The next event, or a bookmark where there is none for a while."""
        try:
            return await asyncio.wait_for(queue.get(), _BOOKMARK_SECONDS)
        except TimeoutError:
            found = {"metadata": {"resourceVersion": str(self._version)}}
            return json.dumps({"type": "BOOKMARK", "object": found}).encode() + b"\n"


@asynccontextmanager
async def serve(server: ApiServer, port: int, kubeconfig: Path) -> AsyncIterator[None]:
    """Listen while the context lasts, and write a kubeconfig that leads here."""
    cluster = {"name": "bench", "cluster": {"server": f"http://{HOST}:{port}"}}
    context = {"name": "bench", "context": {"cluster": "bench", "user": "bench"}}
    users = [{"name": "bench", "user": {}}]
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "bench", "users": users}
    text = yaml.safe_dump({**config, "clusters": [cluster], "contexts": [context]})
    await asyncio.to_thread(kubeconfig.write_text, text, encoding="utf-8")
    application = web.Application()
    application.add_routes([web.get(path, server.answer) for path in _PATHS])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield
    finally:
        await runner.cleanup()


def _key(found: Object) -> Key:
    return (found["metadata"].get("namespace", ""), found["metadata"]["name"])
