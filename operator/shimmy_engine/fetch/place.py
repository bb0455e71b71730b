"""Brings a file to its place: it appears under its name only when it is complete and right."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import httpx

from shimmy_engine.fetch.partial import Partial, locked_partial
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.fetch.retries import Retries
from shimmy_engine.fetch.transfer import Bounds, transfer
from shimmy_engine.gguf_header import GgufError

log = logging.getLogger(__name__)

T = TypeVar("T")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_RESUMABLE: Final = frozenset({"SourceUnreachable", "SourceMissing", "AccessDenied", "NoSpace"})
"""Refusals after which what was fetched so far is still good."""


def place_remote(
    client: httpx.Client,
    remote: Remote,
    destination: Path,
    bounds: Bounds,
    *,
    inspect: Callable[[Path], T],
    keep: Callable[[], T | None],
) -> T:
    """Fetch a file to `destination` once `inspect` has found the content good; returns what that found.

    `keep` is asked when another process has written the file meanwhile: what it finds good stays.

    Raises:
        GgufError: whatever `inspect` raises, and what `transfer` does; NoSpace, NotWritable.
    """

    def fill(partial: Partial) -> T:
        resumed = transfer(client, remote, partial, bounds, Retries())
        try:
            return inspect(partial.path)
        except GgufError as error:
            if not resumed or error.reason != "ChecksumMismatch":
                raise
            log.warning("%s; fetching all of it anew", error)
        partial.reset()
        transfer(client, remote, partial, bounds, Retries())
        return inspect(partial.path)

    return place(destination, fill, keep)


def place(destination: Path, fill: Callable[[Partial], T], keep: Callable[[], T | None]) -> T:
    """Let `fill` write and judge the partial file of `destination`, then give it its name.

    Raises:
        GgufError: whatever `fill` raises; NoSpace, NotWritable.
    """
    with writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with locked_partial(destination) as partial:
            found = keep() if partial.waited else None
            if found is not None:
                partial.discard()
                return found
            try:
                found = fill(partial)
                partial.publish(destination)
            except BaseException as error:
                partial.give_up(resumable=not isinstance(error, GgufError) or error.reason in _RESUMABLE)
                raise
            return found


@contextmanager
def writing(destination: Path) -> Iterator[None]:
    """Turn failures of the volume into refusals.

    Raises:
        GgufError: NoSpace or NotWritable.
    """
    try:
        yield
    except OSError as error:
        reason = "NoSpace" if error.errno in _FULL else "NotWritable"
        raise GgufError(reason, f"the volume of {destination} cannot be written: {error.strerror}") from error
