"""Arithmetic of byte ranges: what is missing of a file, and who fetches which part of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(slots=True)
class Span:
    """Missing bytes from `at` up to, but not including, `end`. Whoever fetches them moves `at`."""

    at: int
    end: int

    @property
    def size(self) -> int:
        """Number of missing bytes."""
        return self.end - self.at


def split(spans: Iterable[Span], parts: int, smallest: int) -> list[Span]:
    """The same bytes as about `parts` spans: the largest is halved as long as no half is below `smallest`."""
    found = [Span(span.at, span.end) for span in spans if span.size > 0]
    while found and len(found) < parts:
        largest = max(found, key=lambda span: span.size)
        if largest.size < 2 * smallest:
            break
        middle = largest.at + largest.size // 2
        found.append(Span(middle, largest.end))
        largest.end = middle
    return found


def missing(spans: Iterable[Span]) -> int:
    """Number of bytes in all of them."""
    return sum(span.size for span in spans)


def is_valid(spans: Iterable[Span], size: int) -> bool:
    """Whether the spans lie within a file of `size` bytes and overlap nowhere."""
    at = 0
    for span in sorted(spans, key=lambda span: span.at):
        if not at <= span.at <= span.end <= size:
            return False
        at = span.end
    return True


def last_present(spans: Iterable[Span], size: int) -> int:
    """Where the last byte that is not missing ends, in a file of `size` bytes."""
    end = size
    for span in sorted(spans, key=lambda span: span.at, reverse=True):
        if span.end < end:
            break
        end = span.at
    return end


def parse_content_range(value: str) -> tuple[int, int, int] | None:
    """First byte, end (not included) and size of the whole, of a header Content-Range (RFC 9110, 14.4)."""
    found = _CONTENT_RANGE.fullmatch(value.strip())
    if not found:
        return None
    first, last, size = (int(number) for number in found.groups())
    return (first, last + 1, size) if first <= last < size else None
