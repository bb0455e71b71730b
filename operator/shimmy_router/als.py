"""Envoy's access log. It has no acknowledgement that counts: the exact account is the runners' journal.

Envoy sends it as a LogsService's client: opentelemetry/proto/collector/logs/v1/logs_service.proto.
"""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from shimmy_router.entries import Entry, entry_of

log = logging.getLogger("shimmy_router.access")

_SERVICE: Final = "opentelemetry.proto.collector.logs.v1.LogsService"


class AccessLogService:
    """Hands each entry to those that count it."""

    def __init__(self, counters: Sequence[Callable[[Entry], None]]) -> None:
        self._counters = counters

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=logs_service_pb2.ExportLogsServiceRequest.FromString,
            response_serializer=logs_service_pb2.ExportLogsServiceResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"Export": export})

    async def _export(self, request: Any, _: grpc.aio.ServicerContext) -> Message:
        for resource in request.resource_logs:
            # What xds-protos calls so is called scope_logs, with log_records, since OpenTelemetry's 0.15.
            for scope in resource.instrumentation_library_logs:
                for record in scope.logs:
                    if entry := entry_of(record.body.string_value):
                        self._count(entry)
        response: Message = logs_service_pb2.ExportLogsServiceResponse()
        return response

    def _count(self, entry: Entry) -> None:
        for count in self._counters:
            count(entry)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", json.dumps(entry._asdict(), separators=(",", ":")))
