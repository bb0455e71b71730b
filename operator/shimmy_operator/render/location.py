"""Where a model's file lies, and what identifies its content."""

import hashlib
import json
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.sources import HubSource, VolumeSource, parse_source


@dataclass(frozen=True, slots=True)
class Location:
    """A file on a claim; `url` is where it is fetched from, if it is fetched."""

    claim_name: str
    path: str
    url: str | None


def locate(model: str, spec: ShimmyModelSpec) -> Location:
    """Where the file of a model is or will be.

    Raises:
        ValueError: the source cannot be used; the message says why.
    """
    url = spec.backend.gguf.source
    source = parse_source(url)
    if isinstance(source, VolumeSource):
        return Location(source.claim_name, source.path, None)
    if not source.file_name.endswith(".gguf") and isinstance(source, HubSource):
        raise ValueError(f"{url!r} names no .gguf file")
    return Location(names.model_volume(model), source.file_name, url)


def spec_digest(spec: ShimmyModelSpec) -> str:
    """Digest of what decides about the file: a check of another digest says nothing about this spec."""
    gguf = spec.backend.gguf
    decisive = {"source": gguf.source, "sha256": gguf.sha256}
    if gguf.credentials_secret_name is not None:
        decisive["credentials"] = gguf.credentials_secret_name  # another Secret is worth another try
    text = json.dumps(decisive, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
