"""Envoy's messages from their JSON form."""

from typing import Any, TypeVar

# JSON can be turned into an Any only where the message's module has been loaded.
from envoy.config.route.v3 import route_components_pb2 as _routes  # noqa: F401
from envoy.extensions.clusters.aggregate.v3 import cluster_pb2 as _aggregate  # noqa: F401
from envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2 as _ext_proc  # noqa: F401
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as _mutation  # noqa: F401
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as _jwt  # noqa: F401
from envoy.extensions.filters.http.lua.v3 import lua_pb2 as _lua  # noqa: F401
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2 as _codec  # noqa: F401
from envoy.extensions.load_balancing_policies.least_request.v3 import (
    least_request_pb2 as _least_request,  # noqa: F401
)
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2 as _previous_hosts  # noqa: F401
from envoy.extensions.retry.priority.previous_priorities.v3 import (
    previous_priorities_config_pb2 as _priorities,  # noqa: F401
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as _upstream  # noqa: F401
from envoy.type.matcher.v3 import http_inputs_pb2 as _inputs  # noqa: F401
from google.protobuf import json_format
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def parse(config: dict[str, Any], kind: type[M]) -> M:
    """The message of this kind.

    Raises:
        google.protobuf.json_format.ParseError: it has no such field, or the field no such value.
    """
    message: M = kind()
    json_format.ParseDict(config, message)
    return message
