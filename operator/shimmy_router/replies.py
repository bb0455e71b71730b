"""Envoy's own answers, each in the words of the API that was asked. Pure.

They are the same for all tenants and all of it is looked at only where Envoy answers itself, so it stands in the
listener: tenants' routes only say, by a status that nothing else has, that there is nothing for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api import errors, headers
from shimmy_api.error_shapes import ANTHROPIC_REQUEST_ID, anthropic_body, extra_headers, ollama_body
from shimmy_api.errors import ApiError
from shimmy_api.unsupported import UNSUPPORTED, unsupported
from shimmy_router.xds import filters, paths
from shimmy_router.xds.ext_proc import AWAY_STATUSES
from shimmy_router.xds.filters import NO_PATH, NO_ROUTE, REFUSAL_STATUSES, overwrite

Condition = dict[str, Any]
"""An envoy.config.accesslog.v3.AccessLogFilter."""
_REQUEST_ID: Final = f"%REQ({headers.REQUEST_ID})%"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class _Reply:
    """An error, and when it is the answer."""

    error: ApiError
    when: tuple[Condition, ...]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Shape:
    """One API's words, and which requests are in it."""

    body: Callable[[ApiError], bytes]
    when: tuple[Condition, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


def local_replies() -> dict[str, Any]:
    """An envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig."""
    mappers = [_mapper(reply, shape) for reply in _replies() for shape in _shapes()]
    # The routes' own answers are as they are.
    as_it_is = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": _JSON}
    return {"mappers": mappers, "body_format": as_it_is}


def _replies() -> list[_Reply]:
    """The first that fits is the answer."""
    challenge = (("www-authenticate", "Bearer"),)  # RFC 9110, section 15.5.2
    unknown = _status(errors.INVALID_KEY.status)
    # Response flags: Envoy's docs, access log format, %RESPONSE_FLAGS%.
    found = [
        _Reply(errors.MISSING_KEY, (unknown, _absent("authorization"), _absent("x-api-key")), challenge),
        _Reply(errors.INVALID_KEY, (unknown,), challenge),
        _Reply(errors.INVALID_KEY, (_flags("NR"),), challenge),
        _Reply(errors.MODEL_UNAVAILABLE, (_flags("UH", "NC"),)),
        _Reply(errors.ENGINE_TIMEOUT, (_flags("UT", "SI", "DT", "UMSDR"),)),
        _Reply(errors.ENGINE_FAILED, (_flags("UF", "UC", "UR", "LR", "URX", "UPE"),)),
        _Reply(errors.OVERLOADED, (_flags("OM", "UO", "DO"),)),
        _Reply(errors.BAD_REQUEST, (_flags("DPE"),)),
        _Reply(errors.INVALID_JSON, (_status(NO_ROUTE), _header(filters.ROUTE, exact=filters.INVALID_JSON))),
        _Reply(errors.NO_MODEL, (_status(NO_ROUTE), _header(filters.ROUTE, exact=filters.NO_MODEL))),
        _Reply(errors.MODEL_NOT_FOUND, (_status(NO_ROUTE), _present(filters.ROUTE))),
        _Reply(errors.NO_MODEL, (_status(NO_ROUTE),)),
    ]
    by_status = (errors.BODY_TOO_LARGE, errors.HEADERS_TOO_LARGE, errors.REQUEST_TIMEOUT, errors.ROUTER_FAILED)
    found += [_Reply(error, (_status(error.status),)) for error in by_status]
    found += [_Reply(error, (_status(status),)) for error, status in REFUSAL_STATUSES]
    found += [_Reply(errors.AGENT_AWAY, (_status(status),)) for status in AWAY_STATUSES]
    return found + [_Reply(reply.error, (_status(NO_PATH), *reply.when), reply.headers) for reply in _no_path()]


def _no_path() -> list[_Reply]:
    """For a method and path that no route takes."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for method, path, what in UNSUPPORTED:
        by_reason.setdefault((method, what), []).append(path)
    found = [
        _Reply(unsupported(what), (_header(":method", exact=method), _path(*group)))
        for (method, what), group in by_reason.items()
    ]
    reading = (_path(f"{paths.MODELS_PATH}/{{name}}"), _header(":method", exact="GET"))
    found.append(_Reply(errors.MODEL_NOT_FOUND, reading))
    found += [
        _Reply(errors.METHOD_NOT_ALLOWED, (_path(*group),), (("allow", allow),))
        for allow, group in paths.by_methods().items()
    ]
    return [*found, _Reply(errors.NOT_FOUND, ())]


def _shapes() -> tuple[_Shape, ...]:
    """As shimmy_engine.surfaces.choice tells the APIs apart; the first that fits."""
    events = _all((_path(paths.GENERATE), _header("accept", contains="text/event-stream")))
    shimmy = _any((_path(paths.SHIMMY_MODELS, paths.SOCKET_PATH), events))
    listing = _all((_header(":path", prefix=paths.MODELS_PATH), _present("anthropic-version")))
    anthropic = _any((_header(":path", prefix="/v1/messages"), listing))
    ollama = _any((_header(":path", prefix="/api/"), _path(paths.ROOT)))
    return (
        _Shape(ApiError.body, (shimmy,)),
        _Shape(lambda error: anthropic_body(error, _REQUEST_ID), (anthropic,), ((ANTHROPIC_REQUEST_ID, _REQUEST_ID),)),
        _Shape(ollama_body, (ollama,)),
        _Shape(ApiError.body),
    )


def _mapper(reply: _Reply, shape: _Shape) -> dict[str, Any]:
    error = reply.error
    extra: Sequence[Mapping[str, str]] = (extra_headers(error), dict(reply.headers), dict(shape.headers))
    body = shape.body(error).decode()
    return {
        "filter": _all((*reply.when, *shape.when)),
        "status_code": error.status,
        "body_format_override": {"text_format_source": {"inline_string": body}, "content_type": _JSON},
        "headers_to_add": [overwrite(name, value) for found in extra for name, value in found.items()],
    }


def _all(conditions: tuple[Condition, ...]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    return {"and_filter": {"filters": list(conditions)}}


def _any(conditions: tuple[Condition, ...]) -> Condition:
    return {"or_filter": {"filters": list(conditions)}}


def _flags(*flags: str) -> Condition:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status(code: int) -> Condition:
    value = {"default_value": code, "runtime_key": "shimmy.unused"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _header(name: str, **match: str) -> Condition:
    return {"header_filter": {"header": {"name": name, "string_match": match}}}


def _path(*found: str) -> Condition:
    """One of these paths, in Starlette's notation. Envoy's :path holds the query."""
    matches: list[Condition] = []
    for path in found:
        start, parameter, _ = path.partition("{")
        if parameter:
            matches.append(_header(":path", prefix=start))
        else:
            matches += [_header(":path", exact=path), _header(":path", prefix=f"{path}?")]
    return matches[0] if len(matches) == 1 else _any(tuple(matches))


def _present(name: str) -> Condition:
    return {"header_filter": {"header": {"name": name, "present_match": True}}}


def _absent(name: str) -> Condition:
    return {"header_filter": {"header": {"name": name, "present_match": True, "invert_match": True}}}
