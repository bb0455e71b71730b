"""Fetches one model's file, from anywhere."""

import contextlib
from pathlib import Path
from typing import Final

import httpx

from shimmy_api.sources import (
    HttpSource,
    HubSource,
    OciSource,
    RemoteSource,
    S3Source,
    VolumeSource,
    names_its_content,
    parse_source,
)
from shimmy_engine.checksums import Checksum, compare, sha256_of
from shimmy_engine.fetch.client import make_client, public
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.local import copy_file, local_path
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.fetch.place import place_remote
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.gguf_header import GgufError, read_header
from shimmy_engine.model_file import ModelFile, check_file, check_servable, check_size

_DEFAULTS: Final = FetchOptions()


def fetch_file(
    source: str, destination: Path, sha256: str | None = None, options: FetchOptions = _DEFAULTS
) -> ModelFile:
    """Fetch a model's file to `destination`, which appears only when its content is complete and right.

    `source` is a path, file://, http(s)://, s3://, oci:// or hf://. `sha256` may be left out where the source itself
    says what the content is (an artifact's digest, a commit) and for local files. A file that is there already and
    right is kept, so that a repeated Job costs no transfer; a transfer that was interrupted goes on where it was.

    Raises:
        ValueError: `source` is none of these, or needs `sha256`.
        GgufError: AccessDenied, CertificatesInvalid, ChecksumMismatch, ChecksumUnknown, CredentialsMissing,
            FileMissing, NoSpace, NotGguf, NotWritable, Offline, SourceAmbiguous, SourceMissing, SourceUnreachable,
            SourceUntrusted, TooLarge, Truncated, Unsupported.
    """
    path = local_path(source)
    if path is None:
        remote = _parse(source, sha256)
    if sha256 is not None:
        with contextlib.suppress(GgufError):
            return check_file(destination, sha256)
    if path is not None:
        return copy_file(path, destination, sha256, options.bounds)
    if options.offline:
        raise GgufError("Offline", _what_is_missing(source, destination, sha256))
    with make_client(options.ca_file) as client:
        found = _find(remote, client, Credentials(options.credentials))
        return _fetch(client, found, destination, sha256, options)


def _find(source: RemoteSource, client: httpx.Client, credentials: Credentials) -> Remote:
    """Where and what the file of a source is. The library that a scheme needs is loaded with it."""
    match source:
        case HttpSource():
            from shimmy_engine.fetch.web import find_on_web

            return find_on_web(source, credentials)
        case S3Source():
            from shimmy_engine.fetch.s3 import find_in_s3

            return find_in_s3(source, credentials)
        case OciSource():
            from shimmy_engine.fetch.registry import find_in_registry

            return find_in_registry(source, client, credentials)
        case HubSource():
            from shimmy_engine.fetch.hub import find_on_hub

            return find_on_hub(source, client, credentials)


def _parse(source: str, sha256: str | None) -> RemoteSource:
    parsed = parse_source(source)
    if isinstance(parsed, VolumeSource):
        raise ValueError(f"{source!r} is a file on a volume of the cluster; give its path where the volume is mounted")
    if isinstance(parsed, HubSource) and parsed.path is None:
        raise ValueError(f"{source!r} is a whole repository and no file")
    if sha256 is None and not names_its_content(parsed):
        raise ValueError("sha256 is required: whoever holds the source could change the file unseen")
    return parsed


def _fetch(
    client: httpx.Client, remote: Remote, destination: Path, sha256: str | None, options: FetchOptions
) -> ModelFile:
    wanted = remote.checksum
    if sha256 is not None:
        given = Checksum("sha256", sha256.lower())
        if wanted is not None and wanted.algorithm == given.algorithm:
            compare(given, wanted)  # before anything is transferred
        wanted = given
    if wanted is None:
        raise GgufError("ChecksumUnknown", f"{remote.place} tells no checksum of the file; give its SHA-256")
    remote = Remote(remote.place, remote.address, remote.auth, wanted)

    def inspect(path: Path) -> ModelFile:
        wanted.check(path)  # first: what a wrong content looks like says nothing about the source's file
        header = read_header(path)
        check_size(header, path.stat().st_size)
        check_servable(header)
        found = wanted.value if wanted.algorithm == "sha256" else sha256_of(path)
        return ModelFile(found, path.stat().st_size, header)

    def keep() -> ModelFile | None:
        with contextlib.suppress(GgufError, FileNotFoundError):
            return inspect(destination)
        return None

    if sha256 is None and (kept := keep()):
        return kept
    return place_remote(client, remote, destination, options.bounds, inspect=inspect, keep=keep)


def _what_is_missing(source: str, destination: Path, sha256: str | None) -> str:
    shown = public(source) if source.startswith("http") else source
    what = f"{destination} with SHA-256 {sha256}" if sha256 else f"{destination}, or its digest to check it with,"
    return f"offline: {what} is missing; it would come from {shown}"
