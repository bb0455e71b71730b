"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): decoder of data, encoder.

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


def encode_event(data: str, *, event: str = "") -> bytes:
    """One event, of the named type where one is given, whose data has no line break."""
    kind = f"event: {event}\n" if event else ""
    return f"{kind}data: {data}\n\n".encode()


def encode_text(text: str) -> bytes:
    """One event whose data is any text. A carriage return arrives as a line feed: events cannot carry it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
