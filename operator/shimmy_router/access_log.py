"""One JSON line for each request on Envoy's standard output, where that is asked for. Pure.

It says who asked for which model and how it went: no bodies, no query strings, no header that a client chose.
Fields: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

from typing import Any, Final

from shimmy_api import headers
from shimmy_router.xds import filters
from shimmy_router.xds.filters import typed

_PATH_LENGTH: Final = 256
"""A client may send a path of 60 KiB."""

_FIELDS: Final = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "tenant": f"%METADATA(ROUTE:{filters.NAMESPACE}:{filters.META_TENANT})%",
    "key_id": f"%REQ({headers.KEY_ID})%",
    "model": f"%METADATA(ROUTE:{filters.NAMESPACE}:{filters.META_MODEL})%",
    "method": "%REQ(:METHOD)%",
    "path": f"%PATH(NQ:PATH):{_PATH_LENGTH}%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "first_byte_milliseconds": "%RESPONSE_DURATION%",
    "pod": "%UPSTREAM_HOST%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}


def standard_output() -> dict[str, Any]:
    """The access logger."""
    return {
        "name": "envoy.access_loggers.stdout",
        "filter": {"not_health_check_filter": {}},
        "typed_config": typed(
            "extensions.access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": _FIELDS}
        ),
    }
