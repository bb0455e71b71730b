"""Where a model's file lies, and what identifies its content."""

import hashlib
import json
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.sources import HttpSource, VolumeSource, parse_source


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
    match parse_source(spec.backend.gguf.source):
        case VolumeSource(claim_name, path):
            return Location(claim_name, path, None)
        case HttpSource(url, file_name):
            return Location(names.model_volume(model), file_name, url)


def spec_digest(spec: ShimmyModelSpec) -> str:
    """Digest of what decides about the file: a check of another digest says nothing about this spec."""
    text = json.dumps({"source": spec.backend.gguf.source, "sha256": spec.backend.gguf.sha256}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
