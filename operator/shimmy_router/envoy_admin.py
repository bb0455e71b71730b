"""Envoy's admin interface, on a Unix socket.

https://www.envoyproxy.io/docs/envoy/latest/operations/admin
"""

from pathlib import Path

import aiohttp


def envoy_admin(socket: Path, seconds: float = 300.0) -> aiohttp.ClientSession:
    """A session to close after use. Its requests raise aiohttp's errors, for statuses of 400 and more too.

    `seconds` is the longest that each may take.
    """
    return aiohttp.ClientSession(
        "http://envoy",
        connector=aiohttp.UnixConnector(path=str(socket)),
        timeout=aiohttp.ClientTimeout(total=seconds),
        raise_for_status=True,
    )
