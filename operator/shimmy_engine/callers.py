"""Who asks for what, as the headers of a request say."""

import re
import uuid
from collections.abc import Mapping
from typing import Final

from shimmy_api import headers
from shimmy_engine.service import Caller

_PRIORITIES: Final = (-100, 100)
_WEIGHTS: Final = (1, 100)
_MOVABLE: Final = frozenset(str(number) for number in range(1, headers.MOST_MOVES + 1))
"""Attempts that Envoy surely follows by another one, on a pod of the same model."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,9}")


def request_id_of(given: Mapping[str, str]) -> str:
    """The router's id of the request, or a new one."""
    return given.get(headers.REQUEST_ID) or str(uuid.uuid4())


def caller_of(given: Mapping[str, str], request_id: str, named: str | None) -> Caller:
    """The caller of a request whose body names the model `named`; the router's word comes before that."""
    return Caller(
        request_id=request_id,
        tenant=given.get(headers.TENANT, ""),
        key_id=given.get(headers.KEY_ID, ""),
        model=given.get(headers.MODEL) or named or "",
        seconds=_seconds(given.get(headers.EXPECTED_TIMEOUT_MS, "")),
        priority=_bounded(given.get(headers.PRIORITY, ""), _PRIORITIES, 0),
        weight=_bounded(given.get(headers.WEIGHT, ""), _WEIGHTS, 1),
        # Where other models may stand in, every attempt counts: the last ones go to those.
        movable=given.get(headers.ATTEMPT) in _MOVABLE and headers.ASKED not in given,
    )


def standing_in(given: Mapping[str, str], served: str) -> dict[str, str]:
    """The header that says why the model `served` answers where another one was asked for; else none."""
    if given.get(headers.ASKED, served) == served:
        return {}
    return {headers.REASON: "no_pod" if given.get(headers.ATTEMPT, "1") == "1" else "retried"}


def _seconds(milliseconds: str) -> float | None:
    return int(milliseconds) / 1000 if milliseconds.isdecimal() and len(milliseconds) < 12 else None


def _bounded(text: str, bounds: tuple[int, int], default: int) -> int:
    """The integer, or the nearest that is allowed; the default where the text is none."""
    low, high = bounds
    return min(max(int(text), low), high) if _INTEGER.fullmatch(text) else default
