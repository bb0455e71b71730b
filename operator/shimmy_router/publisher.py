"""The snapshot that every Envoy of this agent shall have, and who waits for the next one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from shimmy_router.xds.resources import Snapshot


class Publisher:
    """Hands the newest snapshot to the streams."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._wakes: set[asyncio.Event] = set()
        self.available = asyncio.Event()
        """Set once there is a snapshot: before that, the ADS socket must not open."""

    @property
    def snapshot(self) -> Snapshot:
        """The newest one.

        Raises:
            LookupError: there is none yet.
        """
        if self._snapshot is None:
            raise LookupError("no snapshot yet")
        return self._snapshot

    def publish(self, snapshot: Snapshot) -> bool:
        """Make this the newest snapshot and wake the streams; whether it differs from the one before."""
        if self._snapshot and self._snapshot.version == snapshot.version:
            return False
        self._snapshot = snapshot
        self.available.set()
        for wake in self._wakes:
            wake.set()
        return True

    @contextmanager
    def wakes(self) -> Iterator[asyncio.Event]:
        """An event that is set at each new snapshot, while the context lasts."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            yield wake
        finally:
            self._wakes.discard(wake)
