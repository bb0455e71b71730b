"""Envoy's messages from their JSON form (https://protobuf.dev/programming-guides/json/), as far as it is used here.

google.protobuf.json_format looks all fields of a message up for each message that it fills: for a thousand tenants that
took ten seconds, and this takes one.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

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
from google.protobuf import descriptor_pool, duration_pb2, json_format, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_ANY: Final = "google.protobuf.Any"
_DURATION: Final = "google.protobuf.Duration"
_STRUCT: Final = "google.protobuf.Struct"
_JSON: Final = frozenset({"google.protobuf.Value", "google.protobuf.ListValue"})
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)

Fill = Callable[[Any, Any], None]
"""Makes a message what its JSON says."""
Set = Callable[[Any, Any], None]
"""Sets one field of a message to what its JSON says."""


def parse(config: dict[str, Any], kind: type[M]) -> M:
    """The message of this kind.

    Raises:
        KeyError: it has no such field.
        TypeError: the field has no such value.
        ValueError: the same.
    """
    message: M = kind()
    _filler(message.DESCRIPTOR)(message, config)
    return message


@cache
def _filler(descriptor: Descriptor) -> Fill:
    name = descriptor.full_name
    if name == _ANY:
        return _fill_any
    if name == _DURATION:
        return lambda message, value: message.CopyFrom(_duration(value))
    if name == _STRUCT:
        return _fill_struct
    if name in _JSON:
        return lambda message, value: json_format.ParseDict(value, message)
    if name in _WRAPPERS:
        return _fill_wrapper
    setters: dict[str, Set] = {}

    def fill(message: Any, config: Any) -> None:
        if not config:
            message.SetInParent()
        for key, value in config.items():
            if key not in setters:
                setters[key] = _setter(descriptor.fields_by_name[key])
            setters[key](message, value)

    return fill


def _fill_any(message: Any, config: dict[str, Any]) -> None:
    if not config:
        message.SetInParent()
        return
    kind = _kind(config["@type"])
    content = kind()
    _filler(content.DESCRIPTOR)(content, {key: value for key, value in config.items() if key != "@type"})
    message.Pack(content, deterministic=True)


def _fill_struct(message: Any, value: dict[str, Any]) -> None:
    message.SetInParent()
    message.update(value)


@cache
def _duration(text: str) -> Message:
    duration = duration_pb2.Duration()
    duration.FromJsonString(text)
    return duration


def _fill_wrapper(message: Any, value: Any) -> None:
    message.SetInParent()
    message.value = value["value"] if isinstance(value, dict) else value


@cache
def _kind(type_url: str) -> type[Message]:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(type_url.rpartition("/")[2])
    kind: type[Message] = message_factory.GetMessageClass(descriptor)
    return kind


def _setter(field: FieldDescriptor) -> Set:
    name, nested = field.name, field.message_type
    if nested and nested.GetOptions().map_entry:
        return _map_setter(name, nested.fields_by_name["value"])
    if nested:
        fill = _filler(nested)
        if field.is_repeated:
            return _list_setter(name, fill)
        return lambda message, value: fill(getattr(message, name), value)
    number = _number(field.enum_type) if field.enum_type else None
    if field.is_repeated:
        return lambda message, values: getattr(message, name).extend(map(number, values) if number else values)
    return lambda message, value: setattr(message, name, number(value) if number else value)


def _list_setter(name: str, fill: Fill) -> Set:
    def set_list(message: Any, values: Any) -> None:
        found = getattr(message, name)
        for value in values:
            fill(found.add(), value)

    return set_list


def _map_setter(name: str, value_field: FieldDescriptor) -> Set:
    if not value_field.message_type:
        return lambda message, values: getattr(message, name).update(values)
    fill = _filler(value_field.message_type)

    def set_map(message: Any, values: Any) -> None:
        found = getattr(message, name)
        for key, value in values.items():
            fill(found[key], value)

    return set_map


def _number(enum: EnumDescriptor) -> Callable[[str], int]:
    numbers = {value.name: value.number for value in enum.values}
    return lambda name: numbers[name]
