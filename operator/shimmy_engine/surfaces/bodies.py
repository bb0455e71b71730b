"""Reading JSON bodies strictly.

What the engine would silently ignore is refused by name instead: a caller who asks for `tools` or for a second choice
must not get an answer that looks as if nothing had been asked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shimmy_api.errors import INVALID_JSON, ApiError
from shimmy_engine.requests import RefusedError

Empty = Annotated[list[Any], Field(max_length=0)] | None
"""A list that would ask for something if anything were in it."""
_UNION_BRANCHES: Final = ("list[", "constrained-", "str", "function-", "nullable")


class Body(BaseModel):
    """Base of what is parsed: exact types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What may be there although nobody reads it."""

    ignored: frozenset[str] = frozenset()
    """Accepted with any value: none of them could change the answer."""
    neutral: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Accepted with the values that ask for what happens anyway."""


_T = TypeVar("_T", bound=Body)


def read_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object without what is null.

    Raises:
        RefusedError: it is none, or has a character in it that would break the engine.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(INVALID_JSON) from error
    if not isinstance(values, dict):
        raise RefusedError(INVALID_JSON)
    if "\\u0000" in body.decode(errors="replace"):
        raise RefusedError(ApiError(400, "invalid_value", "The request contains the character U+0000."))
    return {key: value for key, value in values.items() if value is not None}


def validate(kind: type[_T], values: Mapping[str, Any], tolerance: Tolerance, *, within: str = "") -> _T:
    """Check `values`, which stand at `within` in the body, as `kind`.

    Raises:
        RefusedError: naming the first key that is wrong, never its value, which may be a part of a prompt.
    """
    known = {key: value for key, value in values.items() if key in kind.model_fields}
    for key in sorted(values.keys() - known.keys() - tolerance.ignored):
        _refuse_unless_neutral(key, values[key], tolerance, within)
    try:
        return kind.model_validate_json(json.dumps(known))
    except ValidationError as error:
        raise RefusedError(_explain(error, within)) from error


def refuse_value(param: str, message: str) -> RefusedError:
    """The 400 for a value that cannot be served."""
    return RefusedError(ApiError(400, "unsupported_parameter", message, param=param))


def dump(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _refuse_unless_neutral(key: str, value: Any, tolerance: Tolerance, within: str) -> None:
    if value in tolerance.neutral.get(key, ()):
        return
    where = within + key[:64]
    what = "this value of the parameter" if key in tolerance.neutral else "the parameter"
    raise refuse_value(where, f"The model's engine does not support {what} {where!r}. Leave it out.")


def _explain(error: ValidationError, within: str) -> ApiError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = within + ".".join(str(part) for part in first["loc"] if not str(part).startswith(_UNION_BRANCHES))
    code = "missing_parameter" if first["type"] == "missing" else "invalid_value"
    return ApiError(400, code, f"{where or 'The body'}: {first['msg']}.", param=where or None)
