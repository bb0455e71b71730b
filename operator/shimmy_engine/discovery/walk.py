"""Walks folders: bounded, safe from symbolic links that lead astray, and clear about what it could not look at."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shimmy_api.discovery import Skipped, skipped
from shimmy_engine.discovery.pace import Pace

MAX_DEPTH: Final = 12
MAX_ENTRIES: Final = 200_000
_NOT_FOR_US: Final = frozenset({"lost+found"})
"""The file system's own, which nobody but root may read."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was read, and its regular files (links to files included)."""

    path: Path
    files: tuple[str, ...]


@dataclass(slots=True)
class Walk:
    """What was seen below one root, in the order of the paths."""

    folders: list[Folder] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    complete: bool = True
    """Whether every folder was read."""


def walk(root: Path, *, max_depth: int = MAX_DEPTH, max_entries: int = MAX_ENTRIES) -> Walk:
    """Read `root` and the folders below it, hidden ones left out.

    A link is followed if it leads to somewhere inside `root`; a folder is read once, whatever leads to it.

    Raises:
        OSError: `root` itself cannot be read.

    """
    return _Walker(root, max_depth, max_entries).run()


class _Walker:
    def __init__(self, root: Path, max_depth: int, max_entries: int) -> None:
        self.root = root
        self.real_root = Path(os.path.realpath(root, strict=True))
        self.max_depth = max_depth
        self.left = max_entries
        self.seen: set[tuple[int, int]] = set()
        self.found = Walk()
        self.pace = Pace("looked at", "entries")

    def run(self) -> Walk:
        next(self.root.iterdir(), None)  # the root must be readable; anything below it need not be
        self._folder(self.root, 0)
        return self.found

    def _folder(self, path: Path, depth: int) -> None:
        """Read one folder and those in it; recursion ends at max_depth."""
        if depth > self.max_depth:
            self._miss(path, "TooDeep", f"it lies more than {self.max_depth} folders deep")
            return
        try:
            place = path.stat()
            if (place.st_dev, place.st_ino) in self.seen:
                return
            self.seen.add((place.st_dev, place.st_ino))
            entries = sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            self._miss(path, "Unreadable", f"the folder cannot be read: {error.strerror}")
            return
        if not self._spend(path, len(entries)):
            return
        files, folders = self._sorted(path, entries)
        self.found.folders.append(Folder(path, tuple(files)))
        for folder in folders:
            self._folder(path / folder, depth + 1)

    def _spend(self, path: Path, entries: int) -> bool:
        self.pace.step(entries)
        self.left -= entries
        if self.left < 0:
            self._miss(path, "TooMany", "the limit of entries to look at is reached")
        return self.left >= 0

    def _sorted(self, folder: Path, entries: list[str]) -> tuple[list[str], list[str]]:
        files, folders = [], []
        for name in entries:
            if name.startswith(".") or name in _NOT_FOR_US:
                continue
            mode = self._mode(folder / name)
            if stat.S_ISREG(mode):
                files.append(name)
            elif stat.S_ISDIR(mode):
                folders.append(name)
        return files, folders

    def _mode(self, path: Path) -> int:
        """Type of what the path leads to; 0 where that is no concern of ours."""
        try:
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                return mode
            if not Path(os.path.realpath(path, strict=True)).is_relative_to(self.real_root):
                self.found.skipped.append(skipped(shown(path), "LeadsOutside", "the link leads out of the folder"))
                return 0
            return path.stat().st_mode
        except FileNotFoundError:
            self.found.skipped.append(skipped(shown(path), "LeadsNowhere", "the link leads to nothing"))
        except OSError as error:
            self._miss(path, "Unreadable", f"it cannot be looked at: {error.strerror}")
        return 0

    def _miss(self, path: Path, reason: str, message: str) -> None:
        self.found.skipped.append(skipped(shown(path), reason, message))
        self.found.complete = False


def shown(path: Path) -> str:
    """A path as text that JSON can carry, whatever bytes its names have."""
    return os.fsencode(path).decode(errors="backslashreplace")
