"""The last snapshot on disk, from which a restarted agent serves until it has synchronised again."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from shimmy_router.publisher import Publisher
from shimmy_router.xds.resources import TYPES, Resource, Snapshot, milliseconds

log = logging.getLogger(__name__)

_SECONDS: Final = 3.0
"""Between two writes, at least."""
_BATCH: Final = 100
_PAUSE_SECONDS: Final = 0.001
"""After each batch: serialising holds the interpreter's lock, and changes must not wait for it."""


class Keeper:
    """Saves the publisher's snapshot: soon after a change, but not after each.

    `instead` gives what is saved in the place of resources that shall not outlive the agent.
    """

    def __init__(
        self, publisher: Publisher, path: Path, instead: Callable[[], Iterable[Resource]] = lambda: ()
    ) -> None:
        self._publisher = publisher
        self._path = path
        self._instead = instead
        self._saved = ""

    async def run(self) -> None:
        """Save whenever there is something new; ends only by cancellation, and then saves the last state."""
        with self._publisher.changes() as changes:
            try:
                await self._publisher.available.wait()
                changes.event.set()
                while True:
                    await changes.event.wait()
                    changes.event.clear()
                    changes.take()
                    await self._save(_PAUSE_SECONDS)
                    await asyncio.sleep(_SECONDS)
            finally:
                if self._publisher.available.is_set() and self._publisher.snapshot.version != self._saved:
                    snapshot = self._lasting()
                    save(_all(snapshot), snapshot.version, self._path)

    async def _save(self, pause: float) -> None:
        # What is written is a copy: the snapshot goes on changing.
        seen, snapshot = self._publisher.snapshot.version, self._lasting()
        await asyncio.to_thread(save, _all(snapshot), snapshot.version, self._path, pause)
        self._saved = seen

    def _lasting(self) -> Snapshot:
        return self._publisher.snapshot.replaced(self._instead())


def save(resources: Sequence[Resource], version: str, path: Path, pause: float = 0.0) -> None:
    """Write a snapshot, readable by this user only and whole or not at all. It holds keys: keep it in memory.

    Where it cannot be written, requests still flow, so that is logged and no error.
    """
    partial = path.with_suffix(".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for piece in _serialized(resources, version):
                file.write(piece)
                time.sleep(pause)
        partial.replace(path)
    except OSError as error:
        log.warning("the snapshot cannot be saved: %s", error)


def load(path: Path) -> Snapshot | None:
    """The snapshot that was saved, or None where there is none or it is damaged."""
    message = discovery_pb2.DeltaDiscoveryResponse()
    try:
        message.ParseFromString(path.read_bytes())
        snapshot = Snapshot(_restored(item) for item in message.resources)
    except FileNotFoundError:
        return None
    except (OSError, DecodeError, KeyError) as error:
        log.warning("the saved snapshot cannot be used: %s", type(error).__name__)
        return None
    if snapshot.version != message.system_version_info:
        log.warning("the saved snapshot is damaged")
        return None
    return snapshot


def _all(snapshot: Snapshot) -> list[Resource]:
    return [resource for type_url in TYPES for resource in snapshot.resources[type_url].values()]


def _serialized(resources: Sequence[Resource], version: str) -> Iterator[bytes]:
    """A DeltaDiscoveryResponse in pieces: messages one after another are one message with the fields of all."""
    yield discovery_pb2.DeltaDiscoveryResponse(system_version_info=version).SerializeToString()
    for start in range(0, len(resources), _BATCH):
        batch = [_stored(resource) for resource in resources[start : start + _BATCH]]
        yield discovery_pb2.DeltaDiscoveryResponse(resources=batch).SerializeToString()


def _stored(resource: Resource) -> discovery_pb2.Resource:
    """The resource, with the time when it ends in the place of the time that is left."""
    message = discovery_pb2.Resource(name=resource.name, resource=resource.body)
    if resource.expires is not None:
        message.ttl.FromMilliseconds(milliseconds(resource.expires))
    return message


def _restored(message: discovery_pb2.Resource) -> Resource:
    ends = message.ttl.ToMilliseconds() / 1000 if message.HasField("ttl") else None
    return Resource.from_body(message.name, message.resource, ends)
