"""Cuts a text that comes in pieces at the first stop string.

Done here because neither line does it right: 1.8 has sent the first tokens of a stop string before it knows, and 2.6
knows only strings that are exactly one token and ignores all others silently.
"""


class StopFilter:
    """Holds back no more text than could still become a stop string."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.matched: str | None = None
        """The stop string that was found; everything after it is dropped."""

    def feed(self, text: str) -> str:
        """Text that may be shown now that `text` has come."""
        if self.matched is not None:
            return ""
        self._held += text
        found = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            at, self.matched = min(found)
            return self._take(at, drop=True)
        return self._take(len(self._held) - self._doubtful())

    def flush(self) -> str:
        """The rest, once nothing more comes."""
        return self._take(len(self._held))

    def _take(self, size: int, *, drop: bool = False) -> str:
        shown, rest = self._held[:size], self._held[size:]
        self._held = "" if drop else rest
        return shown

    def _doubtful(self) -> int:
        """Length of the longest end of the held text that starts a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
