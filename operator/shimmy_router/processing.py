"""Envoy's calls for single requests (ext_proc): the wire around what decides on them.

Fields: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from envoy.service.ext_proc.v3 import external_processor_pb2
from google.protobuf.message import Message

from shimmy_api.errors import ApiError
from shimmy_api.headers import KEY_ID, REQUEST_ID
from shimmy_router.xds import ext_proc, filters

_SERVICE: Final = "envoy.service.ext_proc.v3.ExternalProcessor"
_ANSWERS: Final = (
    "request_headers",
    "response_headers",
    "request_body",
    "response_body",
    "request_trailers",
    "response_trailers",
)
"""Each kind of message has an answer of the same name; an empty one changes nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as the agent sees it."""

    tenant: str
    key_id: str = ""
    model: str = ""
    """As the client named it."""
    request_id: str = ""
    hold: str = ""
    """Cluster for whose pods it has to wait if there are none; empty if it need not."""
    stands_in: bool = False
    """Whether another model answers while there are none."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may go on. The metadata is for the answer's headers: `ext_proc.limit_headers`."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    ended: Callable[[], None] | None = None
    """Called once, when the call ends: with the answer where the route tracks it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It is answered here."""

    error: ApiError
    headers: Mapping[str, str] = field(default_factory=dict)


Decide = Callable[[Call], Awaitable[Admitted | Refused]]


_PATIENCE_SECONDS: Final = ext_proc.MESSAGE_TIMEOUT_SECONDS / 2
_HOLD_PATIENCE_SECONDS: Final = ext_proc.HOLD_MESSAGE_TIMEOUT_SECONDS / 4
"""The agent may have been long in taking the call."""


class ProcessingService:
    """Answers each call by what `decide` says."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self.open_calls = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        process = grpc.stream_stream_rpc_method_handler(
            self._process,
            request_deserializer=external_processor_pb2.ProcessingRequest.FromString,
            response_serializer=external_processor_pb2.ProcessingResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"Process": process})

    async def _process(self, _: AsyncIterator[Message], context: grpc.aio.ServicerContext) -> None:
        self.open_calls += 1
        ended: Callable[[], None] | None = None
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                kind = message.WhichOneof("request")
                if kind != "request_headers":
                    await context.write(unchanged(kind))
                    continue
                call = call_of(message, dict(context.invocation_metadata() or ()))
                async with _patience(context, _HOLD_PATIENCE_SECONDS if call.hold else _PATIENCE_SECONDS):
                    outcome = await self._decide(call)
                if isinstance(outcome, Refused):
                    await context.write(refusal(outcome))
                else:
                    ended = outcome.ended
                    await context.write(admission(outcome))
        finally:
            self.open_calls -= 1
            if ended:
                ended()


@asynccontextmanager
async def _patience(context: grpc.aio.ServicerContext, seconds: float) -> AsyncIterator[None]:
    """Tell Envoy to wait on, while what is done here takes its time. An agent that hangs cannot tell it."""
    telling: list[asyncio.Task[None]] = []

    def tell() -> None:
        telling.append(asyncio.create_task(context.write(more_time())))

    timer = asyncio.get_running_loop().call_later(seconds, tell)
    try:
        yield
    finally:
        timer.cancel()
        for task in telling:
            await task


def call_of(message: Any, metadata: Mapping[str, str]) -> Call:
    """What a ProcessingRequest of request headers and the call's gRPC metadata say; empty where they say nothing."""
    listed = message.request_headers.headers.headers
    headers = {header.key: header.raw_value or header.value.encode() for header in listed}
    return Call(
        tenant=str(metadata.get(ext_proc.TENANT_METADATA, "")),
        key_id=str(metadata.get(KEY_ID, "")) or headers.get(KEY_ID, b"").decode(errors="replace"),
        model=headers.get(filters.ROUTE, b"").decode(errors="replace"),
        request_id=headers.get(REQUEST_ID, b"").decode(errors="replace"),
        hold=str(metadata.get(ext_proc.HOLD_METADATA, "")),
        stands_in=ext_proc.STAND_IN_METADATA in metadata,
    )


def more_time() -> Message:
    """The ProcessingResponse that makes Envoy wait up to the filter's longest time."""
    response = external_processor_pb2.ProcessingResponse()
    response.override_message_timeout.FromSeconds(ext_proc.MAX_HOLD_SECONDS)
    message: Message = response
    return message


def unchanged(kind: str | None) -> Message:
    """The ProcessingResponse that lets a message of this kind pass.

    Raises:
        ValueError: Envoy sent a message of a kind that is not known.
    """
    if kind not in _ANSWERS:
        raise ValueError(f"unknown kind of message: {kind}")
    response = external_processor_pb2.ProcessingResponse()
    getattr(response, kind).SetInParent()
    message: Message = response
    return message


def admission(admitted: Admitted) -> Message:
    """The ProcessingResponse that lets the request go on."""
    response: Any = unchanged("request_headers")
    if admitted.metadata:
        # Struct.update does the same in three times the time.
        said = response.dynamic_metadata.fields[ext_proc.LIMITS_NAMESPACE].struct_value.fields
        for name, value in admitted.metadata.items():
            said[name].string_value = value
    message: Message = response
    return message


def refusal(refused: Refused) -> Message:
    """The ProcessingResponse that answers instead. The listener words what it has a status of its own for."""
    response = external_processor_pb2.ProcessingResponse()
    immediate = response.immediate_response
    immediate.status.code = dict(filters.REFUSAL_STATUSES).get(refused.error, refused.error.status)
    immediate.body = refused.error.body()
    immediate.details = "shimmy_refused"
    for name, value in {**refused.headers, "content-type": "application/json"}.items():
        option = immediate.headers.set_headers.add()
        option.header.key, option.header.raw_value = name, value.encode()
    message: Message = response
    return message
