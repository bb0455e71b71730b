"""Changes of a fleet: those that are timed, and those that go on meanwhile."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Final

from devkit.bench.fleet import objects
from devkit.bench.fleet.api_server import ApiServer
from devkit.bench.fleet.client import Client
from devkit.bench.fleet.objects import Size
from devkit.bench.fleet.plane import becomes

_NEW: Final = "new"


@dataclass(slots=True)
class Times:
    """Seconds from an object's write to the first answer that shows it."""

    served: list[float] = field(default_factory=list)
    """Of a model that was added."""
    revoked: list[float] = field(default_factory=list)
    """Of a key that was removed."""


class Editor:
    """Changes objects of a fleet."""

    def __init__(self, server: ApiServer, size: Size, port: int, seed: int) -> None:
        self._server = server
        self._size = size
        self._port = port
        self._random = random.Random(seed)

    async def measure(self, router: int, rounds: int, pause: float = 0.0) -> Times:
        """Add a model and a key to some tenant, and take both away again; so many times.

        `pause` is the time in seconds that follows each round: Envoy drops the cluster after it has answered 404.
        """
        times, client = Times(), Client(router)
        for _ in range(rounds):
            number = self._random.randrange(0, self._size.tenants, 2)
            self._server.write(objects.pods(number, _NEW, self._port))
            self._server.write(objects.model(number, _NEW))
            times.served.append(await becomes(client, objects.key(number), _NEW, 200))
            for made in (objects.secret(number, 2), objects.tenant(number, 2)):
                self._server.write(made)
            await becomes(client, objects.key(number, 1), _NEW, 200)
            self._server.write(objects.tenant(number, 1))
            times.revoked.append(await becomes(client, objects.key(number, 1), _NEW, 401))
            self._server.write(objects.secret(number, 1))
            self._server.delete(objects.model(number, _NEW))
            self._server.delete(objects.pods(number, _NEW, self._port))
            await becomes(client, objects.key(number), _NEW, 404)
            await asyncio.sleep(pause)
        client.close()
        return times

    async def keep_changing(self, per_second: float) -> None:
        """Change something else so many times a second; ends only by cancellation."""
        next_time = time.monotonic()
        while True:
            next_time += 1 / per_second
            self._change()
            await asyncio.sleep(max(0.0, next_time - time.monotonic()))

    def _change(self) -> None:
        """Another alias, a pod that ends, or another key, of a tenant with an odd number: the others are timed."""
        number = self._random.randrange(1, self._size.tenants, 2)
        name = f"m{self._random.randrange(self._size.models)}"
        match self._random.randrange(3):
            case 0:
                self._server.write(objects.model(number, name, f"alias-{self._random.randrange(1000)}"))
            case 1:
                ending = (f"192.0.2.{self._random.randrange(1, 250)}",) if self._random.randrange(2) else ()
                self._server.write(objects.pods(number, name, self._port, *ending))
            case _:
                entries = self._random.randrange(1, 3)
                self._server.write(objects.secret(number, entries))
                self._server.write(objects.tenant(number, entries))


@dataclass(slots=True)
class Load:
    """Requests of several connections, each for a tenant and model at random."""

    router: int
    size: Size
    seconds_between: float
    requests: int = 0
    failed: int = 0
    closed: int = 0

    async def run(self, connections: int, seconds: float) -> None:
        """Send them."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._one(number, end) for number in range(connections)))

    async def _one(self, seed: int, end: float) -> None:
        client, chosen = Client(self.router), random.Random(seed)
        while time.monotonic() < end:
            number, name = chosen.randrange(self.size.tenants), f"m{chosen.randrange(self.size.models)}"
            self.failed += await client.chat(objects.key(number), name) != 200
            self.requests += 1
            await asyncio.sleep(self.seconds_between)
        self.closed += client.closed
        client.close()
