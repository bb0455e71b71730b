"""The aggregated discovery service over gRPC: the wire around DeltaStream."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message

from shimmy_router.delta import DeltaStream, Request, Response
from shimmy_router.metrics import Metrics
from shimmy_router.publisher import Publisher
from shimmy_router.xds.resources import Resource

log = logging.getLogger(__name__)

_SHORTEST: Final = 0.001
_LONGEST: Final = 10 * 365 * 86_400.0
"""Bounds of a resource's time to live in seconds: 0 would mean for ever, and Envoy counts in nanoseconds of 64 bits."""
_SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class DiscoveryService:
    """Tells every Envoy that connects what it shall know."""

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._streams: list[DeltaStream] = []
        self._listeners: list[Callable[[], None]] = []
        self.settled = asyncio.Event()
        """Set once an Envoy has answered a whole snapshot."""

    @property
    def refused(self) -> list[tuple[str, str]]:
        """What an Envoy that is connected does not take: kind and name of each."""
        return sorted({(_kind(type_url), name) for stream in self._streams for type_url, name in stream.refused})

    def listen(self, answered: Callable[[], None]) -> None:
        """Have `answered` called whenever an Envoy may have acknowledged something."""
        self._listeners.append(answered)

    def has(self, type_url: str, name: str) -> bool:
        """Whether every Envoy that is connected has this resource as it is now; false where none is."""
        return bool(self._streams) and all(stream.has(type_url, name) for stream in self._streams)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        delta = grpc.stream_stream_rpc_method_handler(
            self._delta,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": delta})

    async def _delta(self, requests: AsyncIterator[Message], _: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
        with self._publisher.changes(passing=True) as changes:
            snapshot = self._publisher.snapshot
            stream = DeltaStream(snapshot)
            reader = asyncio.create_task(self._read(requests, stream, changes.event))
            self._streams.append(stream)
            try:
                while not reader.done():
                    changes.event.clear()
                    stream.note(changes.take())
                    while response := stream.next_response():
                        yield _message(stream.sent(response), snapshot.version)
                        stream.note(changes.take())
                    if stream.settled:
                        self.settled.set()
                        self._metrics.settled(snapshot.version)
                    await changes.event.wait()
            finally:
                reader.cancel()
                self._streams.remove(stream)
                self._metrics.refusing(kind for kind, _ in self.refused)

    async def _read(self, requests: AsyncIterator[Message], stream: DeltaStream, wake: asyncio.Event) -> None:
        try:
            async for message in requests:
                request = _request(message)
                before = stream.refused
                stream.receive(request)
                wake.set()
                for answered in self._listeners:
                    answered()
                if request.error:
                    self._metrics.refused()
                for type_url, name in sorted(stream.refused - before):
                    # Envoy's text may quote the resource, and routes and scopes hold secrets.
                    log.error("Envoy refuses %s %s", _kind(type_url), name)
                self._metrics.refusing(kind for kind, _ in self.refused)
        finally:
            wake.set()


def _kind(type_url: str) -> str:
    return type_url.rpartition(".")[2]


def _request(message: Message) -> Request:
    return Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message or "refused" if message.HasField("error_detail") else "",
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        known=dict(message.initial_resource_versions),
    )


def _message(response: Response, version: str) -> Message:
    now = time.time()
    message: Message = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=version,
        type_url=response.type_url,
        nonce=response.nonce,
        resources=[_resource(resource, now) for resource in response.resources],
        removed_resources=response.removed,
    )
    return message


def _resource(resource: Resource, now: float) -> Message:
    message: Message = discovery_pb2.Resource(name=resource.name, version=resource.version, resource=resource.body)
    if resource.expires is not None:
        left = min(max(resource.expires - now, _SHORTEST), _LONGEST)
        message.ttl.FromNanoseconds(int(left * 1e9))
    return message
