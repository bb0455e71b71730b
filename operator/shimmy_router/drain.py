"""Lets an Envoy that must go finish what it runs: the preStop hook of its container."""

import asyncio
import logging
from pathlib import Path
from typing import Final

import aiohttp

from shimmy_router.listener import STAT_PREFIX

log = logging.getLogger(__name__)

_ACCEPT_SECONDS: Final = 5.0
"""Load balancers learn of an endpoint's removal at the same time as the pod: for so long, requests still come."""
_POLL_SECONDS: Final = 0.25
_ACTIVE: Final = f"http.{STAT_PREFIX}.downstream_rq_active"


async def drain(admin_socket: Path, seconds: float) -> None:
    """Fail Envoy's readiness, have it close connections after their answer, and wait until no request runs.

    Ends after `seconds` at the latest. Admin interface:
    https://www.envoyproxy.io/docs/envoy/latest/operations/admin
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    connector = aiohttp.UnixConnector(path=str(admin_socket))
    async with aiohttp.ClientSession("http://envoy", connector=connector, raise_for_status=True) as admin:
        await admin.post("/healthcheck/fail")
        await asyncio.sleep(min(_ACCEPT_SECONDS, seconds))
        while loop.time() < end:
            if not (active := await _active(admin)):
                return
            await asyncio.sleep(_POLL_SECONDS)
        log.warning("%d requests still run after %g s", active, seconds)


async def _active(admin: aiohttp.ClientSession) -> int:
    async with admin.get("/stats", params={"filter": f"^{_ACTIVE}$"}) as response:
        name, _, value = (await response.text()).strip().partition(": ")
    return int(value) if name else 0
