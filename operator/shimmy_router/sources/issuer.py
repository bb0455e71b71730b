"""Who issues the tokens of the cluster's ServiceAccounts, and with which keys, from the API server.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
"""

import asyncio
import json
import logging
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.dynamic import DynamicClient

from shimmy_router.records import ISSUER_KIND
from shimmy_router.store import Store

log = logging.getLogger(__name__)

CONFIGURATION_PATH: Final = "/.well-known/openid-configuration"
KEYS_PATH: Final = "/openid/v1/jwks"

_SECONDS: Final = 60.0
"""Between two looks: an API server that gets a new key to sign with is restarted for that."""
_AGAIN_SECONDS: Final = 5.0
"""After it did not tell."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_TAKEN: Final = "application/json, application/jwk-set+json"
"""Kubernetes gives the keys as the latter only (RFC 7517, section 8.5), and refuses to give them otherwise."""
_FAILURES: Final = (ApiException, aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError)


async def watch_issuer(api: ApiClient, store: Store) -> None:
    """Keep the store up to date; ends only by cancellation.

    While the API server does not tell, the store keeps what it has; at first, that there is none: other credentials
    must not wait for it.
    """
    client = DynamicClient(api)  # type: ignore[no-untyped-call]
    known = failing = False
    while True:
        try:
            found = [await _fetch(client)]
        except _FAILURES as error:
            if not failing:
                log.warning("the issuer of ServiceAccounts' tokens is not told: %s", type(error).__name__)
            found = []
        failing = not found
        if found or not known:
            store.replace(ISSUER_KIND, found)
            known = True
        await asyncio.sleep(_SECONDS if found else _AGAIN_SECONDS)


async def _fetch(client: Any) -> dict[str, Any]:
    configuration = json.loads(await _text(client, CONFIGURATION_PATH))
    jwks = await _text(client, KEYS_PATH)
    return {"metadata": {"name": "cluster"}, "issuer": str(configuration["issuer"]), "jwks": jwks}


async def _text(client: Any, path: str) -> str:
    response: aiohttp.ClientResponse = await client.request(
        "get", path, header_params={"Accept": _TAKEN}, serialize=False, _request_timeout=_TIMEOUT
    )
    async with response:
        return await response.text()
