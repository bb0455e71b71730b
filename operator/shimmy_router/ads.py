"""The aggregated discovery service over gRPC: the wire around DeltaStream."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message

from shimmy_router.delta import DeltaStream, Request, Response
from shimmy_router.metrics import Metrics
from shimmy_router.publisher import Publisher

log = logging.getLogger(__name__)

_SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class DiscoveryService:
    """Tells every Envoy that connects what it shall know."""

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self.settled = asyncio.Event()
        """Set once an Envoy has acknowledged a whole snapshot."""

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        delta = grpc.stream_stream_rpc_method_handler(
            self._delta,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": delta})

    async def _delta(self, requests: AsyncIterator[Message], _: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
        stream = DeltaStream(self._publisher.snapshot)
        with self._publisher.wakes() as wake:
            reader = asyncio.create_task(self._read(requests, stream, wake))
            try:
                while not reader.done():
                    wake.clear()
                    snapshot = self._publisher.snapshot
                    stream.set_snapshot(snapshot)
                    while response := stream.next_response():
                        yield _message(stream.sent(response), snapshot.version)
                    if stream.settled:
                        self.settled.set()
                        self._metrics.settled(snapshot.version)
                    await wake.wait()
            finally:
                reader.cancel()

    async def _read(self, requests: AsyncIterator[Message], stream: DeltaStream, wake: asyncio.Event) -> None:
        try:
            async for message in requests:
                request = _request(message)
                if request.error:
                    self._metrics.refused()
                    # Envoy's text may quote the resource, and routes and scopes hold secrets.
                    log.error("Envoy refused a change of %s", request.type_url.rpartition(".")[2])
                stream.receive(request)
                wake.set()
        finally:
            wake.set()


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
    message: Message = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=version,
        type_url=response.type_url,
        nonce=response.nonce,
        resources=[
            discovery_pb2.Resource(name=resource.name, version=resource.version, resource=resource.body)
            for resource in response.resources
        ],
        removed_resources=response.removed,
    )
    return message
