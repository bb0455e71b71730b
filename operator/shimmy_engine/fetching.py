"""Fetches a model's file over HTTP: whole and right, or not at all."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx

from shimmy_engine.gguf_header import GgufError, read_header
from shimmy_engine.model_file import ModelFile, check_digest, check_file, check_servable, check_size
from shimmy_engine.progress import Progress

MAX_BYTES: Final = 2 << 40
"""Largest file that is fetched, unless told otherwise: 2 TiB."""
_CHUNK: Final = 1 << 20
_TIMEOUT: Final = httpx.Timeout(30.0, read=60.0)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def fetch_file(url: str, destination: Path, sha256: str, *, max_bytes: int = MAX_BYTES) -> ModelFile:
    """Fetch `url` to `destination`, which appears only when its content is complete and right.

    A file that is there already and right is kept, so that a repeated Job costs no transfer.

    Raises:
        GgufError: SourceUnreachable, Truncated, ChecksumMismatch, NotGguf, Unsupported, TooLarge, NoSpace, NotWritable.

    """
    with contextlib.suppress(GgufError):
        return check_file(destination, sha256)
    partial = destination.with_name(f".{destination.name}.partial")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        found = _download(url, partial, max_bytes)
        check_digest(found, sha256)
        header = read_header(partial)
        check_size(header, partial.stat().st_size)
        check_servable(header)
        partial.replace(destination)
        _sync(destination.parent)
    except OSError as error:
        reason = "NoSpace" if error.errno in _FULL else "NotWritable"
        raise GgufError(reason, f"the volume of {destination} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return ModelFile(found, destination.stat().st_size, header)


def _download(url: str, partial: Path, max_bytes: int) -> str:
    """Write the body to `partial`, durably; returns its digest."""
    digest, place = hashlib.sha256(), _public(url)
    try:
        with (
            httpx.Client(follow_redirects=True, max_redirects=5, timeout=_TIMEOUT) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise GgufError("SourceUnreachable", f"{place} answered with status {response.status_code}")
            total = _expected(response, partial.parent, max_bytes)
            with partial.open("wb") as file:
                for chunk in _bounded(response, Progress("fetched", total), max_bytes):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise GgufError("SourceUnreachable", f"{place}: {type(error).__name__}: {error}") from error
    return digest.hexdigest()


def _expected(response: httpx.Response, folder: Path, max_bytes: int) -> int | None:
    """Size of the body where the server tells it; refused at once where it cannot end well."""
    length = response.headers.get("content-length", "")
    if not length.isdecimal():
        return None
    free = shutil.disk_usage(folder).free
    if int(length) > max_bytes:
        raise GgufError("TooLarge", f"the file has {length} bytes; at most {max_bytes} are allowed")
    if int(length) > free:
        raise GgufError("NoSpace", f"the file has {length} bytes, but only {free} are free on the volume")
    return int(length)


def _bounded(response: httpx.Response, progress: Progress, max_bytes: int) -> Iterator[bytes]:
    for chunk in response.iter_bytes(_CHUNK):
        progress.add(len(chunk))
        if progress.done > max_bytes:
            raise GgufError("TooLarge", f"the file has more than the {max_bytes} bytes that are allowed")
        yield chunk


def _public(url: str) -> str:
    """The URL without what may be secret."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(username=None, password=None, query=None, fragment=None))


def _sync(folder: Path) -> None:
    """Make the rename durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
