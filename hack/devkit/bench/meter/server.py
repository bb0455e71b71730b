"""The metrics server as a process, of this checkout or another one, and what comes to it."""

import asyncio
import itertools
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from devkit.bench.meter.api_server import HOST
from devkit.bench.procfs import cpu_seconds
from devkit.pki import Authority
from devkit.ports import free
from shimmy_api.load import LOADS_PATH

_READY_SECONDS: Final = 30
_TOKEN: Final = {"authorization": "Bearer bench"}


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    url: str
    process: int
    context: ssl.SSLContext

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it says so.

        Raises:
            TimeoutError: it does not.
        """
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                if await self._is_ready(session):
                    return
                await asyncio.sleep(0.1)

    async def cores(
        self, session: aiohttp.ClientSession, reports: Sequence[Sequence[bytes]], seconds: int, *, read: bool
    ) -> float:
        """CPU that it uses while each router reports, and the operator reads if `read`, once a second."""
        work = [self._report(session, own, seconds, turn / len(reports)) for turn, own in enumerate(reports)]
        if read:
            work.append(self._read(session, seconds))
        before = cpu_seconds(self.process)
        await asyncio.gather(*work)
        return (cpu_seconds(self.process) - before) / seconds

    async def _report(
        self, session: aiohttp.ClientSession, reports: Sequence[bytes], seconds: int, offset: float
    ) -> None:
        begin = asyncio.get_running_loop().time() + offset
        for second, body in zip(range(seconds), itertools.cycle(reports), strict=False):
            await _until(begin + second)
            await self._ask(session, "POST", HTTPStatus.NO_CONTENT, body)

    async def _read(self, session: aiohttp.ClientSession, seconds: int) -> None:
        begin = asyncio.get_running_loop().time()
        for second in range(seconds):
            await _until(begin + second)
            await self._ask(session, "GET", HTTPStatus.OK)

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, expected: HTTPStatus, body: bytes | None = None
    ) -> None:
        url = self.url + LOADS_PATH
        async with session.request(method, url, data=body, headers=_TOKEN, ssl=self.context) as answer:
            text = await answer.text()
        if answer.status != expected:
            raise RuntimeError(f"the metrics server answers {method} with {answer.status}: {text}")

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/readyz", ssl=self.context) as answer:
                return answer.status == HTTPStatus.OK
        except aiohttp.ClientError:
            return False


@contextmanager
def server(folder: Path, kubeconfig: Path, packages: Path) -> Iterator[Server]:
    """One of the packages in this folder."""
    authority = Authority(folder, "ca")
    pair = authority.server("server", [HOST])
    tls = folder / "tls"
    tls.mkdir()
    (tls / "tls.crt").write_bytes(pair.certificate.read_bytes())
    (tls / "tls.key").write_bytes(pair.key.read_bytes())
    (port,) = free(1)
    command = [sys.executable, "-m", "shimmy_meter", "serve", "--host", HOST, "--port", str(port)]
    command += [
        "--metrics-port",
        "0",
        "--tls-folder",
        str(tls),
        "--kubeconfig",
        str(kubeconfig),
        "--leave-seconds",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            context = ssl.create_default_context(cafile=str(authority.files.certificate))
            yield Server(f"https://{HOST}:{port}", process.pid, context)
        finally:
            process.terminate()


async def _until(moment: float) -> None:
    await asyncio.sleep(max(moment - asyncio.get_running_loop().time(), 0))
