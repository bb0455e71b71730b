"""The fleet's objects from a directory of YAML files, for tests and for looking at Envoy without a cluster."""

import asyncio
import logging
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import yaml

from shimmy_router.records import PEERS
from shimmy_router.store import KINDS, Store

log = logging.getLogger(__name__)

_SECONDS: Final = 0.05
"""Between two looks at the directory."""


async def watch_files(directory: Path, store: Store) -> None:
    """Keep the store equal to the directory's *.yaml; ends only by cancellation.

    While a file cannot be read, the store keeps what it has: files should be replaced by renaming.
    """
    seen: dict[str, tuple[int, int]] | None = None
    while True:
        state = _stamps(directory)
        if state != seen:
            try:
                objects = _read(directory)
            except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
                log.warning("cannot read %s: %s", directory, type(error).__name__)
            else:
                for kind in KINDS:
                    store.replace(kind, objects["EndpointSlice" if kind == PEERS else kind])
            seen = state
        await asyncio.sleep(_SECONDS)


def _stamps(directory: Path) -> dict[str, tuple[int, int]]:
    return {path.name: _stamp(path) for path in sorted(directory.glob("*.yaml"))}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)


def _read(directory: Path) -> defaultdict[str, list[dict[str, Any]]]:
    objects: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(directory.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document:
                objects[document["kind"]].append(document)
    return objects
