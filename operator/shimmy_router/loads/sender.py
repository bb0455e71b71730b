"""Sends reports to every replica of the metrics server."""

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from shimmy_api import names
from shimmy_api.load import LOADS_PATH, LoadReport

log = logging.getLogger(__name__)

_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
_TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
_AUTHORITY_FILE: Final = "ca.crt"
_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class MeterAddress:
    """How the metrics server is reached."""

    url: str
    """Base URL. Its host may have several addresses, one for each replica."""
    folder: Path
    """Where the ServiceAccount token and the authority of the server's certificate are; both may change."""


class Sender:
    """Reaches the replicas that there are."""

    def __init__(self, meter: MeterAddress, session: aiohttp.ClientSession) -> None:
        parts = urlsplit(meter.url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._folder = meter.folder
        self._session = session
        self._authority = b""
        self._context: ssl.SSLContext | None = None
        self._failing = ""

    async def send(self, report: LoadReport) -> None:
        """Tell all of them. What is wrong is logged when it begins and when it ends."""
        try:
            context, token = await asyncio.to_thread(self._credentials)
            addresses = await self._addresses()
        except _FAILURES as error:
            self._note(f"{type(error).__name__}: {error}")
            return
        body = report.model_dump_json(by_alias=True).encode()
        outcomes = await asyncio.gather(*(self._post(address, body, token, context) for address in addresses))
        self._note(next((outcome for outcome in outcomes if outcome), ""))

    async def _post(self, address: str, body: bytes, token: str, context: ssl.SSLContext) -> str:
        """What is wrong; empty if nothing is."""
        url = URL.build(scheme="https", host=address, port=self._port, path=LOADS_PATH)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            async with self._session.post(
                url, data=body, headers=headers, ssl=context, server_hostname=names.METER, timeout=_TIMEOUT
            ) as response:
                return "" if response.status == HTTPStatus.NO_CONTENT else f"status {response.status}"
        except _FAILURES as error:
            return f"{type(error).__name__}: {error}"

    async def _addresses(self) -> list[str]:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return sorted({str(address[0]) for *_, address in found})

    def _credentials(self) -> tuple[ssl.SSLContext, str]:
        """Both as they are now: the kubelet exchanges the files."""
        authority = (self._folder / _AUTHORITY_FILE).read_bytes()
        if self._context is None or authority != self._authority:
            self._context = ssl.create_default_context(cadata=authority.decode("ascii"))
            self._authority = authority
        return self._context, (self._folder / _TOKEN_FILE).read_text(encoding="ascii").strip()

    def _note(self, failure: str) -> None:
        if failure and not self._failing:
            log.warning("the metrics server does not hear of all loads: %s", failure)
        elif self._failing and not failure:
            log.info("the metrics server hears of loads again")
        self._failing = failure
