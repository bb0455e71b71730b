"""The last snapshot on disk, from which a restarted agent serves until it has synchronised again."""

import logging
import os
from pathlib import Path

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from shimmy_router.xds.resources import TYPES, Resource, Snapshot

log = logging.getLogger(__name__)


def save(snapshot: Snapshot, path: Path) -> None:
    """Write the snapshot, readable by this user only and whole or not at all. It holds keys: keep it in memory.

    Where it cannot be written, requests still flow, so that is logged and no error.
    """
    message = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=snapshot.version,
        resources=[
            discovery_pb2.Resource(name=resource.name, resource=resource.body)
            for type_url in TYPES
            for resource in snapshot.resources[type_url].values()
        ],
    )
    partial = path.with_suffix(".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.SerializeToString(deterministic=True))
        partial.replace(path)
    except OSError as error:
        log.warning("the snapshot cannot be saved: %s", error)


def load(path: Path) -> Snapshot | None:
    """The snapshot that was saved, or None where there is none or it is damaged."""
    message = discovery_pb2.DeltaDiscoveryResponse()
    try:
        message.ParseFromString(path.read_bytes())
        bodies = [(item.name, item.resource) for item in message.resources]
        snapshot = Snapshot.of(Resource.from_body(name, body) for name, body in bodies)
    except FileNotFoundError:
        return None
    except (OSError, DecodeError, KeyError) as error:
        log.warning("the saved snapshot cannot be used: %s", type(error).__name__)
        return None
    if snapshot.version != message.system_version_info:
        log.warning("the saved snapshot is damaged")
        return None
    return snapshot
