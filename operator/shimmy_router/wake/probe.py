"""The kubelet's question to a pod."""

from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from shimmy_router.xds.endpoints import Address

_PATH: Final = "/readyz"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)


class Probe:
    """Asks pods whether they are ready."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, pod: Address) -> bool:
        """Whether the pod says so; not if it does not answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Of many that do not answer none must wait for another one's connection.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=_TIMEOUT,
            )
        host, port = pod
        url = URL.build(scheme="http", host=host, port=port, path=_PATH)
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def aclose(self) -> None:
        """Close its connections."""
        if self._session:
            await self._session.close()
