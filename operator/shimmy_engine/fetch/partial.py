"""An unfinished file beside its destination, and the small file that says what is missing of it."""

import contextlib
import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from shimmy_engine.fetch.spans import Span, is_valid, last_present

log = logging.getLogger(__name__)

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says about a file: two answers with the same identity are parts of the same content."""

    size: int
    validator: str
    """ETag, else Last-Modified, else empty."""
    checksum: str
    """What the content must be; empty where nobody knows it."""


class Partial:
    """A file that is being written, locked against other writers as long as it is open.

    The lock is on the file itself: there is no lock file that could stay behind.
    """

    def __init__(self, path: Path, handle: int, *, waited: bool) -> None:
        """`waited`: another process had the file until just now, and may have finished it."""
        self.path = path
        self.waited = waited
        self._handle = handle
        self._state = _state_of(path)

    def load(self, identity: Identity) -> list[Span]:
        """What is missing; everything if what is there is of another content, or of one that no checksum tells."""
        spans = self._read(identity)
        if spans is None:
            self.reset()
            return [Span(0, identity.size)] if identity.size else []
        return spans

    def _read(self, identity: Identity) -> list[Span] | None:
        if not identity.checksum:
            return None  # nothing would tell that the parts belong together
        try:
            state: Any = json.loads(self._state.read_text())
            spans = [Span(int(start), int(end)) for start, end in state["missing"]]
            same = Identity(**state["identity"]) == identity and is_valid(spans, identity.size)
            there = os.fstat(self._handle).st_size >= last_present(spans, identity.size)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return spans if same and there else None

    def save(self, identity: Identity, spans: Sequence[Span]) -> None:
        """Remember what is missing. What was written since the last call may be fetched again after a crash.

        Raises:
            OSError: the volume cannot be written.
        """
        if not identity.checksum:
            return
        state = {"identity": asdict(identity), "missing": [[span.at, span.end] for span in spans if span.size]}
        fresh = self._state.with_name(f"{self._state.name}.new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._state)

    def write(self, data: bytes, at: int) -> None:
        """Write all of `data` from the byte `at` on; threads may do so at the same time.

        Raises:
            OSError: the volume cannot be written.
        """
        view = memoryview(data)
        while view:
            written = os.pwrite(self._handle, view, at)
            view, at = view[written:], at + written

    def reset(self) -> None:
        """Forget everything that was fetched."""
        self._state.unlink(missing_ok=True)
        os.ftruncate(self._handle, 0)

    def publish(self, destination: Path) -> None:
        """Give the file its name, durably.

        Raises:
            OSError: the volume cannot be written.
        """
        os.fsync(self._handle)
        self.path.replace(destination)
        self._state.unlink(missing_ok=True)
        sync_folder(destination.parent)

    def discard(self) -> None:
        """Remove it."""
        self._state.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def give_up(self, *, resumable: bool) -> None:
        """Keep it for a later try that can go on with it, else remove it."""
        if not resumable or not self._state.exists():
            self.discard()


@contextlib.contextmanager
def locked_partial(destination: Path) -> Iterator[Partial]:
    """The partial file of `destination`, made where there is none; waits while another process writes it.

    Raises:
        OSError: the volume cannot be written.
    """
    path = destination.with_name(f".{destination.name}.partial")
    handle, waited = _open_locked(path)
    try:
        yield Partial(path, handle, waited=waited)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable.

    Raises:
        OSError: the volume cannot be written.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that lock it; waits for them.

    Raises:
        OSError: there is no such folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _open_locked(path: Path) -> tuple[int, bool]:
    waited = False
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            waited |= _lock(handle, path)
            # Whoever had the lock before may have renamed or removed the file meanwhile.
            if _is_at(handle, path):
                return handle, waited
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, path: Path) -> bool:
    """Lock an open file or folder; returns whether another process had it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another process is writing %s; waiting for it", path)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        log.warning("the volume of %s knows no locks: nothing else may fetch the same file now", path)
    return False


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _state_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")
