"""The scale of Deployments, as the API server has it.

Subresource scale: k8s.io/api/autoscaling/v1 (Scale), where a number of 0 is left out.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiException
from kubernetes.aio.dynamic import DynamicClient

from shimmy_router.sources.kubernetes import connect
from shimmy_router.wake.waker import Start, StartError

_MERGE: Final = "application/merge-patch+json"
_MANAGER: Final = "shimmy-router"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_TRIES: Final = 3
"""Somebody else may change the Deployment at the same time."""


@asynccontextmanager
async def starting(kubeconfig: str | None) -> AsyncIterator[Start]:
    """What starts the first pod of a Deployment of the cluster that this pod runs in, or that a kubeconfig names."""
    async with connect(kubeconfig) as api:
        client = DynamicClient(api)  # type: ignore[no-untyped-call]

        async def start(namespace: str, deployment: str) -> bool:
            try:
                return await _start(client, f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}/scale")
            except ApiException as error:
                raise StartError(f"{deployment} in {namespace}: {error.status} {error.reason}") from error
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
                raise StartError(f"{deployment} in {namespace}: {type(error).__name__}") from error

        yield start


async def _start(client: Any, path: str) -> bool:
    for _ in range(_TRIES):
        scale = await _json(client, "get", path)
        if scale["spec"].get("replicas", 0) > 0:
            return False
        # Nobody's other number may be overwritten: with this version the patch counts only for the 0 that was read.
        body = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}, "spec": {"replicas": 1}}
        try:
            await _json(client, "patch", path, body=body, content_type=_MERGE, field_manager=_MANAGER)
        except ApiException as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            await asyncio.sleep(0)
            continue
        return True
    raise StartError(f"{path}: changed again and again")


async def _json(client: Any, method: str, path: str, **parameters: Any) -> dict[str, Any]:
    response: aiohttp.ClientResponse = await client.request(
        method, path, serialize=False, _request_timeout=_TIMEOUT, **parameters
    )
    async with response:
        found: dict[str, Any] = json.loads(await response.text())
        return found
