"""The fleet's objects by list and watch from an API server."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.dynamic import DynamicClient

from shimmy_api import names
from shimmy_api.kinds import KINDS as SHIMMY_KINDS
from shimmy_router.records import PEERS
from shimmy_router.sources.issuer import watch_issuer
from shimmy_router.store import Store

log = logging.getLogger(__name__)

_WATCH_SECONDS: Final = 300
"""The server ends a watch after this; it is then taken up where it ended."""
_SILENCE_SECONDS: Final = 90
"""The server sends a bookmark about every minute (KEP-956): a watch that is silent for longer is dead."""
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_FAILURES: Final = (ApiException, aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError)


class _ExpiredError(ValueError):
    """The server no longer has what happened since the version that was asked for (HTTP 410)."""


@dataclass(frozen=True, slots=True)
class _Collection:
    """All objects of one kind that the router wants."""

    kind: str
    path: str
    labels: str = ""
    entry: str = ""
    """Entry of a Secret's data that holds the object as JSON; empty where the objects are what is listed."""

    def unpack(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        """The object, or None where there is none in what was listed."""
        if not self.entry:
            return manifest
        try:
            found = json.loads(base64.b64decode(manifest["data"][self.entry], validate=True))
        except (KeyError, TypeError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _collections(namespace: str, tenant: str | None) -> tuple[_Collection, ...]:
    if tenant:
        return _of_tenant(namespace, tenant)
    own = tuple(_Collection(kind.kind, f"/apis/{names.API_VERSION}/{kind.plural}") for kind in SHIMMY_KINDS)
    return (
        *own,
        _Collection("EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices", names.LABEL_MODEL),
        _peers(namespace),
        _Collection("Secret", f"/api/v1/namespaces/{namespace}/secrets", names.LABEL_KEYS),
    )


def _of_tenant(namespace: str, tenant: str) -> tuple[_Collection, ...]:
    """Everything from the tenant's own namespace: ShimmyTenants, which have none, come with the keys."""
    secrets, keys = f"/api/v1/namespaces/{namespace}/secrets", f"{names.LABEL_KEYS}={names.bounded(tenant)}"
    own = f"/apis/{names.API_VERSION}/namespaces/{namespace}"
    return (
        _Collection("ShimmyTenant", secrets, keys, names.MIRRORED_TENANT_ENTRY),
        *(_Collection(kind.kind, f"{own}/{kind.plural}") for kind in SHIMMY_KINDS if kind.scope == "Namespaced"),
        _Collection("EndpointSlice", _slices(namespace), names.LABEL_MODEL),
        _peers(namespace),
        _Collection("Secret", secrets, keys),
    )


def _peers(namespace: str) -> _Collection:
    """The routers themselves, which find one another by the Service of their agents."""
    return _Collection(PEERS, _slices(namespace), f"kubernetes.io/service-name={names.ROUTER_METRICS_SERVICE}")


def _slices(namespace: str) -> str:
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


@asynccontextmanager
async def connect(kubeconfig: str | None) -> AsyncIterator[ApiClient]:
    """A client for the cluster that this pod runs in, or for the one that a kubeconfig names."""
    configuration = client.Configuration()
    if kubeconfig is None:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration
        )
    async with ApiClient(configuration) as api:
        yield api


async def watch_fleet(api: ApiClient, namespace: str, store: Store, tenant: str | None = None) -> None:
    """Keep the store up to date; ends only by cancellation.

    `namespace` is the router's, which holds the keys. A router for one `tenant` alone reads nothing outside it.
    """
    async with asyncio.TaskGroup() as group:
        for collection in _collections(namespace, tenant):
            group.create_task(_Watch(api, collection, store).run())
        group.create_task(watch_issuer(api, store))


class _Watch:
    """Keeps one kind up to date."""

    def __init__(self, api: ApiClient, collection: _Collection, store: Store) -> None:
        # Its `request` sends to any path: all of them are known, so that nothing has to be discovered.
        self._client = DynamicClient(api)  # type: ignore[no-untyped-call]
        self._collection = collection
        self._store = store

    async def run(self) -> None:
        """List, watch, and begin again whenever that fails."""
        pause, version = _FIRST_PAUSE, ""
        while True:
            try:
                version = await self._watch(version or await self._list())
                pause = _FIRST_PAUSE
            except _ExpiredError:
                version = ""
            except _FAILURES as error:
                # What was missed cannot be known: start from a whole list. The error may quote a Secret.
                version = ""
                log.warning(
                    "watch of %s failed, again in %.1f s: %s", self._collection.kind, pause, type(error).__name__
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self) -> str:
        """Take the whole list; its version."""
        async with await self._get(within=aiohttp.ClientTimeout(total=60)) as response:
            listing = await response.json()
        found = (self._collection.unpack(item) for item in listing["items"])
        self._store.replace(self._collection.kind, [item for item in found if item is not None])
        return str(listing["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        """Take changes until the server ends the watch; the last version that was seen."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS)
        response = await self._get(
            within=timeout,
            watch="true",
            resource_version=version,
            timeout_seconds=_WATCH_SECONDS,
            query_params=[("allowWatchBookmarks", "true")],
        )
        async with response:
            while line := await response.content.readline():
                version = self._take(json.loads(line))
        return version

    def _take(self, event: dict[str, Any]) -> str:
        found = event["object"]
        if event["type"] == "ERROR":
            raise _ExpiredError(str(found.get("reason")))
        if event["type"] == "BOOKMARK" or (item := self._collection.unpack(found)) is None:
            return str(found["metadata"]["resourceVersion"])
        if event["type"] == "DELETED":
            self._store.remove(self._collection.kind, item)
        else:
            self._store.put(self._collection.kind, item)
        return str(found["metadata"]["resourceVersion"])

    async def _get(self, *, within: aiohttp.ClientTimeout, **parameters: Any) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await self._client.request(
            "get",
            self._collection.path,
            label_selector=self._collection.labels or None,
            serialize=False,
            _request_timeout=within,
            **parameters,
        )
        return response
