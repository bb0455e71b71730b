"""Puts characters together that came as escaped bytes, token by token.

A token may hold a part of a character. Our builds (hack/patches) send each byte of such a token as the private-use
character U+10FF00 + byte, which no model writes otherwise.
"""

import codecs
import re
from typing import Final

_FIRST: Final = 0x10FF00
_RUN: Final = re.compile("([\U0010ff00-\U0010ffff]+)")


class ByteUnescaper:
    """Incremental: what may still become a character is held back."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, text: str) -> str:
        """Text that is complete now."""
        if not text.isascii() or self._pending:
            return "".join(self._part(part) for part in _RUN.split(text) if part)
        return text

    def flush(self) -> str:
        """The rest: U+FFFD where the text ended within a character."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest

    @property
    def _pending(self) -> bool:
        return bool(self._decoder.getstate()[0])

    def _part(self, part: str) -> str:
        if ord(part[0]) >= _FIRST:
            return self._decoder.decode(bytes(ord(letter) - _FIRST for letter in part))
        return self.flush() + part
