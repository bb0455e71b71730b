"""A cluster behind a Kubernetes API server."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.dynamic import DynamicClient

from shimmy_api.names import FIELD_MANAGER, SCALER
from shimmy_operator.cluster.errors import (
    NotFoundError,
    UnavailableError,
    from_status,
)
from shimmy_operator.cluster.port import Listing, Selection, WatchEvent
from shimmy_operator.cluster.resources import RESOURCES, Manifest, Reference, reference

_APPLY: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_REQUEST_SECONDS: Final = 30
_WATCH_SECONDS: Final = 300
"""The server ends a watch after this; it is then taken up where it ended."""
_SILENCE_SECONDS: Final = 90
"""The server sends a bookmark about every minute (KEP-956): a watch that is silent for longer is dead."""
_PAGE: Final = 500

Answer = TypeVar("Answer")
Count = Callable[[str], None]
"""Told the verb of every mutating request."""


async def connect(kubeconfig: str | None, context: str | None) -> ApiClient:
    """A client for the cluster that this process runs in, or for the one that a kubeconfig names."""
    configuration = client.Configuration()
    if kubeconfig is None:
        # Reads the projected token again every minute: kubelets replace it hourly.
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
    return ApiClient(configuration)


class KubeCluster:
    """Implements Cluster and Watcher."""

    def __init__(self, api: ApiClient, count: Count) -> None:
        # The path of every kind is known, so that nothing has to be discovered.
        self._dynamic = DynamicClient(api)  # type: ignore[no-untyped-call]
        self._count = count

    async def create(self, manifest: Manifest) -> Manifest:
        """See Cluster."""
        self._count("create")
        path = RESOURCES[manifest["kind"]].path(manifest["metadata"].get("namespace"))
        return await self._json("post", path, body=manifest, field_manager=FIELD_MANAGER)

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """See Cluster."""
        return await self._apply(manifest, None, manager)

    async def read(self, reference: Reference) -> Manifest | None:
        """See Cluster."""
        # By a list, for which the operator has the right anyway.
        listing = await self.list(Selection(reference.kind, reference.namespace, name=reference.name))
        return next(iter(listing.items), None)

    async def scale(self, reference: Reference, replicas: int, resource_version: str) -> None:
        """See Cluster."""
        self._count("scale")
        patch = {"metadata": {"resourceVersion": resource_version}, "spec": {"replicas": replicas}}
        path = _path(reference, "scale")
        await self._json("patch", path, body=patch, content_type=_MERGE_PATCH, field_manager=SCALER)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """See Cluster."""
        return await self._apply(manifest, "status", FIELD_MANAGER)

    async def annotate(self, reference: Reference, annotations: Mapping[str, str]) -> None:
        """See Cluster."""
        self._count("patch")
        patch = {"metadata": {"annotations": dict(annotations)}}
        await self._json("patch", _path(reference), body=patch, content_type=_MERGE_PATCH, field_manager=SCALER)

    async def replace_spec(self, manifest: Manifest) -> Manifest:
        """See Cluster."""
        self._count("patch")
        patch = [{"op": "replace", "path": "/spec", "value": manifest["spec"]}]
        path = _path(reference(manifest))
        return await self._json("patch", path, body=patch, content_type=_JSON_PATCH, field_manager=FIELD_MANAGER)

    async def delete(self, reference: Reference, uid: str, resource_version: str | None = None) -> None:
        """See Cluster."""
        self._count("delete")
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid}
            | ({"resourceVersion": resource_version} if resource_version is not None else {}),
            "propagationPolicy": "Background",
        }
        try:
            await self._json("delete", _path(reference), body=options)
        except NotFoundError:
            return

    async def list(self, selection: Selection) -> Listing:
        """See Watcher."""
        items: list[Manifest] = []
        token: str | None = None
        while True:
            page = await self._json("get", _collection(selection), limit=_PAGE, _continue=token, **_query(selection))
            resource = RESOURCES[selection.kind]
            # Items of a list carry no kind of their own.
            items += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"]]
            token = page["metadata"].get("continue")
            if not token:
                return Listing(tuple(items), page["metadata"]["resourceVersion"])

    async def watch(self, selection: Selection, resource_version: str) -> AsyncIterator[WatchEvent]:
        """See Watcher."""
        response = await self._send(
            "get",
            _collection(selection),
            watch="true",
            resource_version=resource_version,
            timeout_seconds=_WATCH_SECONDS,
            query_params=[("allowWatchBookmarks", "true")],
            _request_timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS),
            **_query(selection),
        )
        try:
            while line := await _guarded(response.content.readline()):
                yield _event(json.loads(line))
        finally:
            response.close()

    async def _apply(self, manifest: Manifest, subresource: str | None, manager: str) -> Manifest:
        self._count("apply")
        path = _path(reference(manifest), subresource)
        return await self._json(
            "patch",
            path,
            body=manifest,
            content_type=_APPLY,
            field_manager=manager,
            force_conflicts="true",
        )

    async def _json(self, method: str, path: str, **parameters: Any) -> Manifest:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        response = await self._send(method, path, _request_timeout=timeout, **parameters)
        async with response:
            found: Manifest = await _guarded(response.json())
            return found

    async def _send(self, method: str, path: str, **parameters: Any) -> aiohttp.ClientResponse:
        request: Awaitable[aiohttp.ClientResponse] = self._dynamic.request(method, path, serialize=False, **parameters)
        return await _guarded(request)


async def _guarded(request: Awaitable[Answer]) -> Answer:
    try:
        return await request
    except ApiException as error:
        raise _from_exception(error) from error
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error


def _from_exception(error: ApiException) -> Exception:
    status: Manifest = {}
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        status = {"message": error.reason}
    retry_after = (error.headers or {}).get("Retry-After")
    return from_status(
        int(error.status or HTTPStatus.SERVICE_UNAVAILABLE),
        str(status.get("reason", "")),
        str(status.get("message") or error.reason),
        float(retry_after) if retry_after and retry_after.isdigit() else None,
    )


def _event(line: Manifest) -> WatchEvent:
    if line["type"] == "ERROR":
        status = line["object"]
        raise from_status(int(status.get("code", 500)), str(status.get("reason", "")), str(status.get("message", "")))
    return WatchEvent(line["type"], line["object"])


def _path(reference: Reference, subresource: str | None = None) -> str:
    return RESOURCES[reference.kind].path(reference.namespace, reference.name, subresource)


def _collection(selection: Selection) -> str:
    return RESOURCES[selection.kind].path(selection.namespace)


def _query(selection: Selection) -> dict[str, str | None]:
    fields = None if selection.name is None else f"metadata.name={selection.name}"
    return {"label_selector": selection.labels, "field_selector": fields}
