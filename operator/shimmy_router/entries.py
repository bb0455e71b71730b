"""What Envoy tells the agent of each request when it has ended: one line, and how it is read. Pure.

A line of text costs Envoy half of what an HTTPAccessLogEntry costs, and the agent less than that.
Operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

from typing import Any, Final, Literal, NamedTuple

from shimmy_api import headers
from shimmy_router.xds import filters

Outcome = Literal["completed", "cancelled", "failed", "refused"]

_OPERATORS: Final = (
    f"%REQ({headers.REQUEST_ID})%",
    f"%METADATA(ROUTE:{filters.NAMESPACE}:{filters.META_TENANT})%",
    f"%REQ({headers.KEY_ID})%",
    f"%METADATA(ROUTE:{filters.NAMESPACE}:{filters.META_MODEL})%",
    f"%RESP({headers.MODEL})%",
    f"%RESP({headers.REASON})%",
    "%RESPONSE_CODE%",
    "%RESPONSE_FLAGS%",
    "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%",
    f"%RESP({headers.QUEUE_SECONDS})%",
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    # Answers in one piece carry the counts as headers, streams as trailers.
    f"%RESP({headers.PROMPT_TOKENS})%",
    f"%TRAILER({headers.PROMPT_TOKENS})%",
    f"%RESP({headers.COMPLETION_TOKENS})%",
    f"%TRAILER({headers.COMPLETION_TOKENS})%",
)
_SEPARATOR: Final = "\t"
LINE: Final = _SEPARATOR.join(_OPERATORS)
_ABSENT: Final = "-"
_BUFFER_BYTES: Final = 64 * 1024
"""Lines are sent when there are so many, and every second."""
_LEFT: Final = frozenset({"DC", "DR"})
_BROKEN: Final = frozenset({"UR", "UC", "SI"})
"""Response flags: the client left; the runner broke off, or was silent for too long."""
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
    retries: int
    """How often it was sent to a pod again."""
    prompt_tokens: int | None
    completion_tokens: int | None


def entry_of(line: str) -> Entry | None:
    """What a line of Envoy's says, or None if it is none."""
    fields = ["" if field == _ABSENT else field for field in line.split(_SEPARATOR)]
    if len(fields) != len(_OPERATORS):
        return None
    request_id, tenant, key_id, asked, served, reason, status, flags, last, first, queue, tries, *tokens = fields
    code = _count(status)
    if code is None:
        return None
    return Entry(
        request_id=request_id,
        tenant=tenant,
        key_id=key_id,
        asked=asked,
        served=served,
        reason=reason,
        code=code,
        outcome=_outcome(code, flags),
        seconds=_microseconds(last),
        first_byte_seconds=_microseconds(first),
        queue_seconds=_decimal(queue),
        retries=(_count(tries) or 1) - 1,
        prompt_tokens=_count(tokens[0] or tokens[1]),
        completion_tokens=_count(tokens[2] or tokens[3]),
    )


def entry_logger(grpc_service: dict[str, Any]) -> dict[str, Any]:
    """The access logger that sends the lines by OpenTelemetry's protocol. While nobody takes them they are lost."""
    return {
        "name": "envoy.access_loggers.open_telemetry",
        # Probes are no requests.
        "filter": {"not_health_check_filter": {}},
        "typed_config": filters.typed(
            "extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
            log_name="shimmy",
            grpc_service=grpc_service,
            buffer_flush_interval="1s",
            buffer_size_bytes=_BUFFER_BYTES,
            disable_builtin_labels=True,
            body={"string_value": LINE},
        ),
    }


def _outcome(code: int, flags: str) -> Outcome:
    found = set(flags.split(",")) if flags else set()
    if found & _LEFT:
        return "cancelled"
    if 400 <= code < 500:
        return "refused"
    return "failed" if found & _BROKEN or code >= 500 or not code else "completed"


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else None


def _microseconds(text: str) -> float | None:
    count = _count(text)
    return None if count is None else count / 1e6


def _decimal(text: str) -> float | None:
    if not text.isascii() or len(text) > _LONGEST:
        return None
    whole, _, rest = text.partition(".")
    return float(text) if whole.isdigit() and (not rest or rest.isdigit()) else None
