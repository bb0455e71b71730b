"""Copies a model that is on this machine already."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from shimmy_engine.fetch.partial import Partial
from shimmy_engine.fetch.place import place
from shimmy_engine.fetch.transfer import Bounds, check_room
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.model_file import ModelFile, check_file
from shimmy_engine.progress import Progress

_CHUNK: Final = 8 << 20


def local_path(source: str) -> Path | None:
    """The path that `source` is, as itself or as file:///PATH; None for anything else.

    Raises:
        ValueError: a file:// URL of another machine.
    """
    if "://" not in source:
        return Path(source)
    split = urlsplit(source)
    if split.scheme != "file":
        return None
    if split.netloc not in ("", "localhost"):
        raise ValueError(f"{source!r} is not file:///PATH")
    return Path(unquote(split.path))


def copy_file(source: Path, destination: Path, sha256: str | None, bounds: Bounds) -> ModelFile:
    """Copy a model's file; one that is its own destination is only checked.

    Raises:
        GgufError: as `check_file`; TooLarge, NoSpace, NotWritable.
    """
    if destination.exists() and source.exists() and destination.samefile(source):
        return check_file(source, sha256)
    if not source.is_file():
        raise GgufError("FileMissing", f"there is no file {source}")

    def fill(partial: Partial) -> ModelFile:
        _copy(source, partial, bounds)
        return check_file(partial.path, sha256)

    return place(destination, fill, lambda: None)


def _copy(source: Path, partial: Partial, bounds: Bounds) -> None:
    size = source.stat().st_size
    partial.reset()
    check_room(partial.path.parent, size, size, bounds)
    progress = Progress("copied", size)
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            partial.write(chunk, progress.done)
            progress.add(len(chunk))
