"""Fetches a whole repository from Hugging Face or a mirror: what a conversion reads."""

import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from shimmy_api.sources import HubSource, parse_source
from shimmy_engine.fetch.client import make_client
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.fetch.partial import locked_folder, sync_folder
from shimmy_engine.fetch.place import place_remote, writing
from shimmy_engine.fetch.transfer import check_room
from shimmy_engine.gguf_header import GgufError

if TYPE_CHECKING:
    from shimmy_engine.fetch.hub import HubFile  # its library is loaded only where it is needed

log = logging.getLogger(__name__)

MARKER: Final = ".shimmy-complete.json"
"""In a folder that was fetched to its end; its content is a FetchedFolder."""
MODEL_FILES: Final = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken")
"""Configuration, tokenizer and safetensors weights at the top of a repository. No pickles: loading one runs code."""
_LEFT_OUT: Final = (".*", "consolidated*.safetensors")
"""Hidden files, among which a repository could have a marker of its own; Mistral's second copy of the weights."""
_DEFAULTS: Final = FetchOptions()


@dataclass(frozen=True, slots=True)
class FetchedFolder:
    """A repository that was fetched to its end."""

    repository: str
    revision: str
    """Branch, tag or commit that was asked for."""
    commit: str
    """What it was at that time."""
    files: dict[str, int]
    """Size in bytes of each file."""

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(self.files.values())

    def as_report(self) -> dict[str, Any]:
        """What `shimmy-engine fetch` reports."""
        return {
            "repository": self.repository,
            "commit": self.commit,
            "files": len(self.files),
            "sizeBytes": self.size_bytes,
        }


def fetch_folder(
    source: str, folder: Path, options: FetchOptions = _DEFAULTS, patterns: Sequence[str] = MODEL_FILES
) -> FetchedFolder:
    """Fetch the files of `hf://ORG/NAME[@REVISION]` at the top of the repository that fit one of `patterns`.

    Each file is checked against what the hub tells of it. The marker that `read_marker` looks for is written last. A
    folder that is complete and of the wanted commit is kept; one that is not goes on where it was.

    Raises:
        ValueError: `source` is no repository.
        GgufError: AccessDenied, CertificatesInvalid, ChecksumMismatch, CredentialsMissing, NoSpace, NotWritable,
            Offline, SourceMissing, SourceUnreachable, SourceUntrusted, TooLarge.
    """
    parsed = parse_source(source)
    if not isinstance(parsed, HubSource) or parsed.path is not None:
        raise ValueError(f"{source!r} is not hf://ORG/NAME[@REVISION]")
    marker = read_marker(folder)
    if marker is not None and marker.repository == parsed.repository:
        same = {marker.commit, marker.revision} if options.offline else {marker.commit}
        if parsed.revision in same:
            return marker
    if options.offline:
        raise GgufError("Offline", f"offline: {folder} does not hold all of it; it would come from {source}")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked_folder(folder):
            return _fetch(parsed, folder, options, patterns)


def read_marker(folder: Path) -> FetchedFolder | None:
    """What a complete folder holds; None if the folder is not complete."""
    try:
        found: Any = json.loads((folder / MARKER).read_text())
        marker = FetchedFolder(**found)
        whole = all((folder / name).stat().st_size == size for name, size in marker.files.items())
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return marker if whole else None


def _fetch(source: HubSource, folder: Path, options: FetchOptions, patterns: Sequence[str]) -> FetchedFolder:
    from shimmy_engine.fetch.hub import list_hub

    with make_client(options.ca_file) as client:
        listing = list_hub(source, client, Credentials(options.credentials))
        marker = read_marker(folder)
        if marker is not None and (marker.repository, marker.commit) == (source.repository, listing.commit):
            return marker
        wanted = [file for file in listing.files if _fits(file.path, patterns)]
        if not wanted:
            raise GgufError("SourceMissing", f"hf://{source.repository} has no file that fits {', '.join(patterns)}")
        _clear(folder, marker, {file.path for file in wanted})
        _check_total(folder, wanted, options)
        for number, file in enumerate(wanted, 1):
            log.info("file %d of %d: %s", number, len(wanted), file.path)
            _fetch_file(client, file, folder / file.path, options)
    sizes = {file.path: (folder / file.path).stat().st_size for file in wanted}
    return _finish(folder, FetchedFolder(source.repository, source.revision, listing.commit, sizes))


def _fits(path: str, patterns: Sequence[str]) -> bool:
    if "/" in path or any(fnmatchcase(path, pattern) for pattern in _LEFT_OUT):
        return False
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _clear(folder: Path, marker: FetchedFolder | None, wanted: set[str]) -> None:
    """Take away the marker, and what an earlier commit had and this one has not."""
    (folder / MARKER).unlink(missing_ok=True)
    for name in marker.files if marker else ():
        if name not in wanted:
            (folder / name).unlink(missing_ok=True)


def _check_total(folder: Path, files: Sequence["HubFile"], options: FetchOptions) -> None:
    sizes = {file.path: file.size or 0 for file in files}
    there = sum(size for path, size in sizes.items() if _has_size(folder / path, size))
    check_room(folder, sum(sizes.values()), sum(sizes.values()) - there, options.bounds)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _fetch_file(client: httpx.Client, file: "HubFile", destination: Path, options: FetchOptions) -> None:
    def inspect(path: Path) -> bool:
        if file.size is not None and not _has_size(path, file.size):
            message = f"{file.path} has {path.stat().st_size} bytes, not {file.size}"
            raise GgufError("ChecksumMismatch", message)
        if file.remote.checksum is not None:
            file.remote.checksum.check(path)
        return True

    def keep() -> bool | None:
        with contextlib.suppress(GgufError):
            return True if destination.is_file() and inspect(destination) else None
        return None

    if file.remote.checksum is None or not keep():
        place_remote(client, file.remote, destination, options.bounds, inspect=inspect, keep=keep)


def _finish(folder: Path, fetched: FetchedFolder) -> FetchedFolder:
    fresh = folder / f"{MARKER}.new"
    fresh.write_text(json.dumps(asdict(fetched), indent=1) + "\n")
    fresh.replace(folder / MARKER)
    sync_folder(folder)
    return fetched
