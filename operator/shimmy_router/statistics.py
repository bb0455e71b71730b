"""Envoy's own statistics, beside the agent's: open connections and requests, memory, its connection to the agent.

Which there are, the bootstrap says. https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--stats-prometheus
"""

import logging
from pathlib import Path
from typing import Final

import aiohttp

from shimmy_router.envoy_admin import envoy_admin

log = logging.getLogger(__name__)

_SECONDS: Final = 2.0
"""Longest wait for an answer."""


async def envoy_statistics(admin_socket: Path) -> bytes:
    """Those that have a value, in Prometheus' text format; nothing while Envoy is away."""
    try:
        async with (
            envoy_admin(admin_socket, _SECONDS) as admin,
            admin.get("/stats/prometheus", params={"usedonly": ""}) as response,
        ):
            return await response.read()
    except (TimeoutError, aiohttp.ClientError) as error:
        log.debug("Envoy tells no statistics: %s", error)
        return b""
