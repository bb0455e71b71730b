"""The records of all objects that a source has delivered so far."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from shimmy_router.records import PARSERS, Manifest, Record

log = logging.getLogger(__name__)

KINDS: Final = tuple(PARSERS)

ObjectKey = tuple[str, str]
"""Namespace (empty where there is none) and name."""


class Store:
    """Records by kind and object; calls `changed` after each change of any of them."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._kinds: dict[str, dict[ObjectKey, Record]] = {}

    @property
    def synced(self) -> bool:
        """Whether every kind has been delivered in whole at least once."""
        return all(kind in self._kinds for kind in KINDS)

    def records(self) -> Iterator[Record]:
        """All of them."""
        for kind in self._kinds.values():
            yield from kind.values()

    def replace(self, kind: str, manifests: Iterable[Manifest]) -> None:
        """Take these as all objects of `kind` that there are."""
        new = {key_of(m): record for m in manifests if (record := _parsed(kind, m)) is not None}
        if self._kinds.get(kind) != new:
            self._kinds[kind] = new
            self._changed()

    def put(self, kind: str, manifest: Manifest) -> None:
        """Take one object that was added or changed. One that cannot be parsed counts as absent."""
        record = _parsed(kind, manifest)
        if record is None:
            self.remove(kind, manifest)
        elif self._kinds[kind].get(key_of(manifest)) != record:
            self._kinds[kind][key_of(manifest)] = record
            self._changed()

    def remove(self, kind: str, manifest: Manifest) -> None:
        """Forget one object."""
        if self._kinds[kind].pop(key_of(manifest), None) is not None:
            self._changed()


def key_of(manifest: Manifest) -> ObjectKey:
    """Which object this is."""
    metadata = manifest["metadata"]
    return (metadata.get("namespace") or "", metadata["name"])


def _parsed(kind: str, manifest: Manifest) -> Record | None:
    try:
        return PARSERS[kind](manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The error's text may quote the object, and a Secret's content must not be logged.
        log.warning("ignored malformed %s %s: %s", kind, key_of(manifest), type(error).__name__)
        return None
