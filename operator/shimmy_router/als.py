"""Envoy's access log over gRPC, counted. It has no acknowledgement: the exact account is the runners' journal.

Fields: https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf.message import Message

from shimmy_api import headers
from shimmy_router.metrics import Metrics
from shimmy_router.xds import filters

_SERVICE: Final = "envoy.service.accesslog.v3.AccessLogService"
_KINDS: Final = {"prompt": headers.PROMPT_TOKENS, "completion": headers.COMPLETION_TOKENS}


class AccessLogService:
    """Turns each entry into metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        stream = grpc.stream_unary_rpc_method_handler(
            self._stream,
            request_deserializer=als_pb2.StreamAccessLogsMessage.FromString,
            response_serializer=als_pb2.StreamAccessLogsResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"StreamAccessLogs": stream})

    async def _stream(self, messages: AsyncIterator[Any], _: grpc.aio.ServicerContext) -> Message:
        async for message in messages:
            for entry in message.http_logs.log_entry:
                self.count(entry)
        response: Message = als_pb2.StreamAccessLogsResponse()
        return response

    def count(self, entry: Any) -> None:
        """Count one envoy.data.accesslog.v3.HTTPAccessLogEntry."""
        common, response = entry.common_properties, entry.response
        tags = common.custom_tags
        labels = (tags.get(filters.META_TENANT, ""), tags.get(filters.META_MODEL, ""))
        code = response.response_code.value
        self._metrics.requests.labels(*labels, str(code)).inc()
        if common.HasField("time_to_last_downstream_tx_byte"):
            self._metrics.seconds.labels(*labels).observe(_seconds(common.time_to_last_downstream_tx_byte))
        if common.HasField("time_to_first_downstream_tx_byte"):
            self._metrics.first_byte_seconds.labels(*labels).observe(_seconds(common.time_to_first_downstream_tx_byte))
        for kind, name in _KINDS.items():
            # Answers in one piece carry the counts as headers, streams as trailers.
            count = response.response_headers.get(name) or response.response_trailers.get(name) or ""
            if count.isdigit():
                self._metrics.tokens.labels(*labels, kind).inc(int(count))


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)
