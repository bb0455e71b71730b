"""Lets an Envoy that must go finish what it runs: the preStop hook of its container."""

import asyncio
import logging
from pathlib import Path
from typing import Final

import aiohttp

from shimmy_router.envoy_admin import envoy_admin
from shimmy_router.listener import STAT_PREFIX
from shimmy_router.whole_file import write_whole

log = logging.getLogger(__name__)

_ACCEPT_SECONDS: Final = 5.0
"""Load balancers learn of an endpoint's removal at the same time as the pod: for so long, requests still come."""
_POLL_SECONDS: Final = 0.25
_CONNECTIONS: Final = f"http.{STAT_PREFIX}.downstream_cx_active"
_REQUESTS: Final = f"http.{STAT_PREFIX}.downstream_rq_active"


async def drain(admin_socket: Path, leaving_file: Path, seconds: float) -> None:
    """Fail Envoy's readiness, have it close its clients' connections, and wait until none is left.

    A connection ends with its next answer. One that stays idle is closed too, by a shorter idle timeout and after the
    listener's drain_timeout, within which it is still served: an Envoy that ends takes every open connection with it,
    and with those the requests that just come on them. Ends after `seconds` at the latest.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with envoy_admin(admin_socket) as admin:
        await admin.post("/healthcheck/fail")
        await asyncio.to_thread(write_whole, leaving_file, "1")
        await asyncio.sleep(min(_ACCEPT_SECONDS, seconds))
        while loop.time() < end:
            if not await _number(admin, _CONNECTIONS):
                return
            await asyncio.sleep(_POLL_SECONDS)
        if running := await _number(admin, _REQUESTS):
            log.warning("%d requests still run after %g s", running, seconds)


async def _number(admin: aiohttp.ClientSession, gauge: str) -> int:
    async with admin.get("/stats", params={"filter": f"^{gauge}$"}) as response:
        name, _, value = (await response.text()).strip().partition(": ")
    return int(value) if name else 0
