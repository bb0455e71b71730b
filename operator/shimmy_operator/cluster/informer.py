"""Keeps the store up to date by list and watch."""

import asyncio
import logging
from typing import Final

from shimmy_operator.cluster.errors import ClusterError, ExpiredError
from shimmy_operator.cluster.port import Selection, Watcher
from shimmy_operator.cluster.store import Store

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0


class Informer:
    """Watches one selection for ever."""

    def __init__(self, watcher: Watcher, selection: Selection, store: Store) -> None:
        self._watcher = watcher
        self._selection = selection
        self._store = store
        self.synced = asyncio.Event()
        """Set after the first whole list."""

    async def run(self) -> None:
        """List, watch, and begin again whenever that fails; ends only by cancellation."""
        pause = _FIRST_PAUSE
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                version = await self._watch(version)
                pause = _FIRST_PAUSE
            except ExpiredError:
                version = None
                _LOG.info("watch of %s expired; listing again", self._selection.kind)
            except ClusterError as error:
                # The changes that were missed cannot be known: start from a whole list.
                version = None
                _LOG.warning("watch of %s failed, again in %.1f s: %s", self._selection.kind, pause, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self) -> str:
        listing = await self._watcher.list(self._selection)
        self._store.replace(self._selection, listing.items, listing.resource_version)
        self.synced.set()
        return listing.resource_version

    async def _watch(self, version: str) -> str:
        async for event in self._watcher.watch(self._selection, version):
            version = str(event.object["metadata"]["resourceVersion"])
            if event.type == "DELETED":
                self._store.remove(event.object)
            elif event.type != "BOOKMARK":
                self._store.put(event.object)
        return version
