"""Files that appear under their name when they are whole, or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from shimmy_engine.fetch.place import writing
from shimmy_engine.gguf_header import GgufError


@contextlib.contextmanager
def whole_file(destination: Path) -> Iterator[Path]:
    """A path to write to, beside `destination`; renamed to it, durably, if the block ends well, else removed.

    Raises:
        GgufError: NoSpace or NotWritable.
    """
    partial = destination.with_name(f".{destination.name}.partial")
    with writing(destination):
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            partial.replace(destination)
            _sync(destination.parent)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()


def require_space(folder: Path, needed: int) -> None:
    """Refuse at once what cannot end well.

    Raises:
        GgufError: NoSpace.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise GgufError("NoSpace", f"the file needs {needed} bytes, but only {free} are free on the volume")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
