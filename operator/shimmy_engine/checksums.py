"""Checksums of whole files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from shimmy_engine.gguf_header import GgufError
from shimmy_engine.progress import Progress

_CHUNK: Final = 1 << 20
_NAMES: Final = {"sha256": "SHA-256", "git-blob": "git object id"}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a file's content must be.

    `git-blob` is git's own: SHA-1 over the header `blob SIZE` and the content (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
    """

    algorithm: Literal["sha256", "git-blob"]
    value: str
    """Lower-case hexadecimal digits."""

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    def check(self, path: Path) -> None:
        """Read the whole file and compare.

        Raises:
            GgufError: ChecksumMismatch.
        """
        compare(self, Checksum(self.algorithm, digest_of(path, self.algorithm)))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in lower-case hexadecimal digits."""
    return digest_of(path, "sha256")


def digest_of(path: Path, algorithm: Literal["sha256", "git-blob"]) -> str:
    """Digest of a file's content, in lower-case hexadecimal digits."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    if algorithm == "git-blob":
        digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    progress = Progress("checked", size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            progress.add(len(chunk))
    return digest.hexdigest()


def compare(wanted: Checksum, found: Checksum) -> None:
    """Compare two checksums of one algorithm.

    Raises:
        GgufError: ChecksumMismatch.
    """
    if found.value != wanted.value:
        raise GgufError(
            "ChecksumMismatch", f"the file's {_NAMES[wanted.algorithm]} is {found.value}, not {wanted.value}"
        )
