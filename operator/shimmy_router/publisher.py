"""The snapshot that every Envoy of this agent shall have, and who is told of its changes."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from shimmy_router.xds.resources import Resource, Snapshot, Update


class Changes:
    """What one stream has not looked at yet."""

    def __init__(self, *, passing: bool) -> None:
        """`passing` ones are wanted too: they are forgotten when the agent ends."""
        self.event = asyncio.Event()
        """Set when there may be something to do."""
        self.passing = passing
        self._names: dict[str, set[str]] = {}

    def add(self, names: dict[str, set[str]]) -> None:
        """Note names of resources that differ, by type."""
        for type_url, found in names.items():
            self._names.setdefault(type_url, set()).update(found)
        self.event.set()

    def take(self) -> dict[str, set[str]]:
        """All that was noted since the last time."""
        names, self._names = self._names, {}
        return names


class Publisher:
    """Keeps the newest snapshot, and tells the streams of each change of it."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.available = asyncio.Event()
        """Set once the snapshot says what is allowed: before that, the ADS socket must not open."""
        self._streams: set[Changes] = set()

    def publish(self, update: Update, now: float) -> bool:
        """Change the snapshot and wake the streams; whether anything differs. What has ended by now is left out."""
        first = not self.available.is_set()
        self.available.set()
        return self._apply(update, now) or first

    def expire(self, now: float) -> None:
        """Drop what has ended by now."""
        self._apply(Update(), now)

    def amend(self, resources: Iterable[Resource]) -> None:
        """Give resources of the snapshot another content for the time being; what it does not have stays out."""
        known = self.snapshot.resources
        names = self.snapshot.apply(Update(tuple(r for r in resources if r.name in known[r.type_url])))
        if names:
            for stream in self._streams:
                if stream.passing:
                    stream.add(names)

    def _apply(self, update: Update, now: float) -> bool:
        names = self.snapshot.apply(update)
        for type_url, found in self.snapshot.apply(self.snapshot.expired(now)).items():
            names.setdefault(type_url, set()).update(found)
        if names:
            for stream in self._streams:
                stream.add(names)
        return bool(names)

    @contextmanager
    def changes(self, *, passing: bool = False) -> Iterator[Changes]:
        """What changes while the context lasts; what changes for the time being only if `passing`."""
        stream = Changes(passing=passing)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
