"""Reads the load of pods from their runners, for as long as they are watched."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from shimmy_api import headers
from shimmy_api.load import PodLoad
from shimmy_router.occupancy import Watched, parse_load
from shimmy_router.xds.endpoints import UNREACHABLE, Address, Slot

log = logging.getLogger(__name__)

PATH: Final = "/internal/load"
RELEASE_PATH: Final = "/internal/release"
_SILENCE_SECONDS: Final = 25.0
"""A runner writes at least every 10 s: one that is silent for longer is gone, or its node is."""
_CONNECT_SECONDS: Final = 2.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_REFUSED_PAUSE: Final = 30.0
"""After an answer that is no stream: the runner does not know this path, or not this token."""


class _NoStreamError(Exception):
    """The pod answers, but does not tell its load."""


class OccupancyStreams:
    """One stream per watched pod."""

    def __init__(self, told: Callable[[Watched, float | None, Slot | None, PodLoad | None], None]) -> None:
        """`told` hears the load of each pod, infinite where it does not answer, None where it does not tell.

        With it come the slot of a pod that several models share, and what it has to do.
        """
        self._told = told
        self._readers: dict[Watched, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None

    def begin(self, pod: Watched) -> None:
        """Read this pod's load from now on."""
        self._readers[pod] = asyncio.create_task(self._read(pod))

    def end(self, pod: Watched) -> None:
        """Read it no more."""
        if reader := self._readers.pop(pod, None):
            reader.cancel()

    async def release(self, pod: Watched, model: str, idle: Address) -> int:
        """Have a pod send one of the requests that wait there for the model to the idle one.

        Returns the status of its answer (shimmy_engine/load.py), 0 where there is none.
        """
        host, port = pod.address
        url = URL.build(scheme="http", host=host, port=port, path=RELEASE_PATH)
        query, token = {"model": model, "to": f"{idle[0]}:{idle[1]}"}, {headers.ENGINE_TOKEN: pod.engine_token}
        timeout = aiohttp.ClientTimeout(total=_CONNECT_SECONDS)
        try:
            async with self._client().post(
                url, params=query, headers=token, allow_redirects=False, timeout=timeout
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0

    async def aclose(self) -> None:
        """Stop reading."""
        readers = list(self._readers.values())
        self._readers.clear()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        if self._session:
            await self._session.close()

    async def _read(self, pod: Watched) -> None:
        """Read one pod until this is cancelled. One that does not answer is avoided until it does."""
        pause = _FIRST_PAUSE
        while True:
            load: float | None = UNREACHABLE
            try:
                async for line in self._lines(pod):
                    self._told(pod, *parse_load(line))
                    pause = _FIRST_PAUSE
            except _NoStreamError:
                load, pause = None, _REFUSED_PAUSE
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.debug("load of %s:%d: %s", *pod.address, type(error).__name__)
            self._told(pod, load, None, None)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that agents do not come at once
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _lines(self, pod: Watched) -> AsyncIterator[bytes]:
        host, port = pod.address
        url = URL.build(scheme="http", host=host, port=port, path=PATH)
        token = {headers.ENGINE_TOKEN: pod.engine_token}
        async with self._client().get(url, headers=token, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                raise _NoStreamError(response.status)
            async for line in response.content:
                yield line

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        return self._session
