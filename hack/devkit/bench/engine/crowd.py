"""Many clients at once, who ask, wait, come back when they are told to, and leave; and the meter that pulls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, cast

import httpx

from devkit.bench.engine.asking import Seen, Wish, ask
from devkit.bench.engine.transports import Http1, Http2, Transport
from devkit.bench.engine.verdict import REFUSALS
from shimmy_api import headers
from shimmy_api.usage import JournalPage, UsageRecord

_SHARED: Final = 25
"""Clients behind one HTTP/2 connection, as many stand behind one of Envoy's."""
_PAGE: Final = 1000


@dataclass(slots=True)
class Crowd:
    """What the clients of a load share."""

    url: str
    token: str
    patience: float
    seen: list[Seen] = field(default_factory=list)
    """Every attempt that was answered, refused or left, in the order of the ends."""
    stopped: bool = False
    """Set to let the clients end after what they are at."""

    async def run(self, wishes: Iterator[Wish], clients: int, answered: Callable[[], None] = lambda: None) -> None:
        """Have all wishes asked, each client one after the other; ends when the last answer has come."""
        shared = [Http2(self.url) for _ in range(-(-clients // _SHARED))]
        own = [Http1(self.url) for _ in range(clients)]
        try:
            async with asyncio.TaskGroup() as group:
                for index in range(clients):
                    group.create_task(self._client(wishes, shared[index // _SHARED], own[index], answered))
        finally:
            for transport in cast("tuple[Transport, ...]", (*shared, *own)):
                await transport.aclose()

    async def _client(
        self, wishes: Iterator[Wish], http2: Transport, http1: Transport, answered: Callable[[], None]
    ) -> None:
        for wish in wishes:
            if self.stopped:
                return
            await self.ask(wish, http2 if wish.http2 else http1)
            answered()

    async def ask(self, wish: Wish, transport: Transport) -> Seen:
        """Ask; where the runner refuses, come back when it says, as OpenAI's clients do."""
        attempt = 0
        while True:
            attempt += 1
            seen = await ask(transport, self.token, wish, f"{wish.name}.{attempt}", patience=self.patience)
            self.seen.append(seen)
            if seen.code not in REFUSALS or self.stopped:
                return seen
            await asyncio.sleep(float(seen.fields.get("retry-after", "1")))


class Meter:
    """Pulls the journal as the meter does: each pull acknowledges what the one before brought."""

    def __init__(self, url: str, token: str) -> None:
        self.records: list[UsageRecord] = []
        self._client = httpx.AsyncClient(base_url=url, headers={headers.ENGINE_TOKEN: token}, trust_env=False)

    async def pull(self) -> int:
        """Take what is there; how many records came."""
        before = len(self.records)
        while True:
            ack = self.records[-1].seq if self.records else 0
            answer = await self._client.get("/internal/journal", params={"ack": ack, "limit": _PAGE})
            page = JournalPage.model_validate_json(answer.content)
            self.records += page.records
            if not page.records:
                return len(self.records) - before

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


@asynccontextmanager
async def metered(url: str, token: str, *, every: float) -> AsyncIterator[Meter]:
    """A meter that pulls every so many seconds, and once at the end."""
    meter = Meter(url, token)

    async def go_on() -> None:
        while True:
            await asyncio.sleep(every)
            await meter.pull()

    pulling = asyncio.create_task(go_on())
    try:
        yield meter
        pulling.cancel()
        await asyncio.wait([pulling])
        if not pulling.cancelled():
            pulling.result()
        await meter.pull()
    finally:
        pulling.cancel()
        await meter.aclose()


def whole(seen: Sequence[Seen]) -> list[Seen]:
    """Those that got all of their answer."""
    return [each for each in seen if each.done and not each.left]
