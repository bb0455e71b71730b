"""Decoder of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), data fields only.

Lines end at LF alone: Shimmy ends them so, and the JSON inside may contain characters at which Python's `splitlines`
and httpx's `aiter_lines` would break (U+2028, U+0085).
"""

from collections.abc import Iterator

DONE = "[DONE]"
"""Data of the last event of a stream in OpenAI's API."""


class SseDecoder:
    """Turns chunks of bytes, cut anywhere, into the data of whole events."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of every event that `chunk` completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" ").decode(errors="replace"))
            elif not line and self._data:
                yield "\n".join(self._data)
                self._data = []


def encode_event(data: str) -> bytes:
    """One event whose data has no line break."""
    return f"data: {data}\n\n".encode()
