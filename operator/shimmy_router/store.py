"""The records of all objects that a source has delivered so far."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from shimmy_router.records import PARSERS, Manifest, ObjectKey, Record

log = logging.getLogger(__name__)

KINDS: Final = tuple(PARSERS)

Changed = Callable[[str, ObjectKey, Record | None, Record | None], None]
"""Takes a kind, which object of it, and what it was and is now; None where it is not there."""


class Store:
    """Records by kind and object; tells `changed` of each one that differs, and `synced` when a whole kind came."""

    def __init__(self, changed: Changed, synced: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._synced = synced
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
        for key in self._kinds.setdefault(kind, {}).keys() - new.keys():
            self._take(kind, key, None)
        for key, record in new.items():
            self._take(kind, key, record)
        self._synced()

    def put(self, kind: str, manifest: Manifest) -> None:
        """Take one object that was added or changed. One that cannot be parsed counts as absent."""
        self._take(kind, key_of(manifest), _parsed(kind, manifest))

    def place(self, kind: str, key: ObjectKey, record: Record | None) -> None:
        """Take what was found elsewhere than at the source, or its end. What is replaced in whole loses it."""
        self._take(kind, key, record)

    def remove(self, kind: str, manifest: Manifest) -> None:
        """Forget one object."""
        self._take(kind, key_of(manifest), None)

    def _take(self, kind: str, key: ObjectKey, record: Record | None) -> None:
        known = self._kinds[kind]
        old = known.get(key)
        if old == record:
            return
        if record is None:
            del known[key]
        else:
            known[key] = record
        self._changed(kind, key, old, record)


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
