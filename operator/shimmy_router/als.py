"""Envoy's access log over gRPC, counted. It has no acknowledgement: the exact account is the runners' journal.

Fields: https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto
"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import grpc
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf.message import Message

from shimmy_api import headers
from shimmy_router.xds import filters

log = logging.getLogger("shimmy_router.access")

LOGGED_RESPONSE_HEADERS: Final = (
    headers.MODEL,
    headers.REASON,
    headers.PROMPT_TOKENS,
    headers.COMPLETION_TOKENS,
    headers.QUEUE_SECONDS,
)
LOGGED_RESPONSE_TRAILERS: Final = (headers.PROMPT_TOKENS, headers.COMPLETION_TOKENS)

TAG_KEY_ID: Final = "key-id"

Outcome = Literal["completed", "cancelled", "failed", "refused"]

_SERVICE: Final = "envoy.service.accesslog.v3.AccessLogService"
_LONGEST: Final = 16
"""Digits of a number that can be one."""


class Entry(NamedTuple):
    """One request, as the access log says it. Text that a client or an engine can choose is not bounded here."""

    request_id: str
    tenant: str
    """Empty where the credential led to none."""
    key_id: str
    asked: str
    """Model that was asked for, by its name; empty where none was found."""
    served: str
    """Model that answered, as its engine says; empty where none did."""
    reason: str
    """Why another model than the one that was asked for answered."""
    code: int
    """0 where the client left before there was one."""
    outcome: Outcome
    seconds: float | None
    """From the request's first byte to the answer's last."""
    first_byte_seconds: float | None
    queue_seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None


class AccessLogService:
    """Hands each entry to those that count it."""

    def __init__(self, counters: Sequence[Callable[[Entry], None]]) -> None:
        self._counters = counters

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
            for logged in message.http_logs.log_entry:
                entry = entry_of(logged)
                for count in self._counters:
                    count(entry)
                if log.isEnabledFor(logging.DEBUG):
                    log.debug("%s", json.dumps(entry._asdict(), separators=(",", ":")))
        response: Message = als_pb2.StreamAccessLogsResponse()
        return response


def entry_of(logged: Any) -> Entry:
    """What an envoy.data.accesslog.v3.HTTPAccessLogEntry says."""
    common, response = logged.common_properties, logged.response
    tags, said = common.custom_tags, response.response_headers
    trailers = response.response_trailers
    code = response.response_code.value
    first = common.HasField("time_to_first_downstream_tx_byte")
    last = common.HasField("time_to_last_downstream_tx_byte")
    return Entry(
        request_id=logged.request.request_id,
        tenant=tags.get(filters.META_TENANT, ""),
        key_id=tags.get(TAG_KEY_ID, ""),
        asked=tags.get(filters.META_MODEL, ""),
        served=said.get(headers.MODEL, ""),
        reason=said.get(headers.REASON, ""),
        code=code,
        outcome=_outcome(code, common.response_flags),
        seconds=_seconds(common.time_to_last_downstream_tx_byte) if last else None,
        first_byte_seconds=_seconds(common.time_to_first_downstream_tx_byte) if first else None,
        queue_seconds=_decimal(said.get(headers.QUEUE_SECONDS)),
        # Answers in one piece carry the counts as headers, streams as trailers.
        prompt_tokens=_count(said.get(headers.PROMPT_TOKENS) or trailers.get(headers.PROMPT_TOKENS)),
        completion_tokens=_count(said.get(headers.COMPLETION_TOKENS) or trailers.get(headers.COMPLETION_TOKENS)),
    )


def _outcome(code: int, flags: Any) -> Outcome:
    if flags.downstream_connection_termination or flags.downstream_remote_reset:
        return "cancelled"
    if 400 <= code < 500:
        return "refused"
    broken = flags.upstream_remote_reset or flags.upstream_connection_termination or flags.stream_idle_timeout
    return "failed" if broken or code >= 500 or not code else "completed"


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _count(text: str | None) -> int | None:
    if not text or not text.isascii() or not text.isdigit() or len(text) > _LONGEST:
        return None
    return int(text)


def _decimal(text: str | None) -> float | None:
    if not text or not text.isascii() or len(text) > _LONGEST:
        return None
    whole, _, rest = text.partition(".")
    return float(text) if whole.isdigit() and (not rest or rest.isdigit()) else None
