"""Label selectors as an API server takes them in a query: `instance=a,model in (b,c),!other`.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

Labels = Mapping[str, str]
Requirement = Callable[[Labels], bool]

_KEY: Final = r"(?P<key>(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_EQUALITY: Final = re.compile(rf"\s*{_KEY}\s*(?P<operator>==|=|!=)\s*(?P<values>[^\s,()=!]*)\s*")
_SET: Final = re.compile(rf"\s*{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)\s*")
_PRESENCE: Final = re.compile(rf"\s*(?P<operator>!?)\s*{_KEY}\s*")


class SelectorError(ValueError):
    """The text is no label selector."""


def parse(text: str) -> Requirement:
    """Whether labels are selected. No text selects everything.

    Raises:
        SelectorError: it is no label selector.
    """
    requirements = []
    position = 0
    while text.strip():
        requirement, position = _requirement(text, position)
        requirements.append(requirement)
        if position == len(text):
            break
        if text[position] != ",":
            raise SelectorError(f"unable to parse requirement: {text[position:]!r} after a requirement")
        position += 1
    return lambda labels: all(requirement(labels) for requirement in requirements)


def _requirement(text: str, position: int) -> tuple[Requirement, int]:
    if found := _SET.match(text, position):
        values = {_checked(value.strip()) for value in found["values"].split(",")}
        return _one_of(found["key"], values, wanted=found["operator"] == "in"), found.end()
    if found := _EQUALITY.match(text, position):
        values = {_checked(found["values"])}
        return _one_of(found["key"], values, wanted=found["operator"] != "!="), found.end()
    if found := _PRESENCE.match(text, position):
        return _present(found["key"], wanted=not found["operator"]), found.end()
    raise SelectorError(f"unable to parse requirement: {text[position:]!r}")


def _checked(value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise SelectorError(f"unable to parse requirement: {value!r} is no label value")
    return value


def _one_of(key: str, values: set[str], *, wanted: bool) -> Requirement:
    """A label that is absent is none of the values."""
    return lambda labels: (key in labels and labels[key] in values) is wanted


def _present(key: str, *, wanted: bool) -> Requirement:
    return lambda labels: (key in labels) is wanted
