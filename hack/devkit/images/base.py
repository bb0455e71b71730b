"""The Debian images that others stand on: public ones, or ones that debootstrap assembles."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit import packages
from devkit.images.builder import Builder, ImageError
from devkit.paths import cache
from devkit.progress import step

_PULL_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Release:
    """One release of Debian."""

    number: int
    suite: str

    @property
    def public(self) -> str:
        """Its public image."""
        return f"docker.io/library/debian:{self.number}-slim"

    @property
    def assembled(self) -> str:
        """The one that is made here."""
        return f"localhost/shimmy-debian:{self.number}"


DEBIAN_12: Final = Release(12, "bookworm")
DEBIAN_13: Final = Release(13, "trixie")


def base_image(builder: Builder) -> str:
    """Reference of the base of all our images: $SHIMMY_BASE_IMAGE, else Debian 13; errors as in `debian`."""
    return os.environ.get("SHIMMY_BASE_IMAGE") or debian(builder, DEBIAN_13)


def debian(builder: Builder, release: Release) -> str:
    """Reference of a Debian image: what is there, else pulled, else assembled.

    Raises:
        ImageError: it can be neither pulled nor assembled.
    """
    for reference in (release.public, release.assembled):
        if builder.exists(reference):
            return reference
    if builder.pull(release.public, _PULL_SECONDS):
        return release.public
    with step(f"assembling a Debian {release.number} base with debootstrap, for no registry has one"):
        _assemble(builder, release)
    return release.assembled


def _assemble(builder: Builder, release: Release) -> None:
    if os.geteuid() != 0:
        raise ImageError(
            f"{release.public} cannot be pulled, and assembling a Debian needs root; or set SHIMMY_BASE_IMAGE"
        )
    try:
        packages.require("a Debian base of our own", [packages.program("debootstrap", "debootstrap")])
    except packages.MissingError as error:
        raise ImageError(f"{release.public} cannot be pulled; {error}") from error
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{release.suite}.log"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root, archive = Path(scratch, "root"), Path(scratch, "root.tar")
        with log.open("wb") as output:
            command = ["debootstrap", "--variant=minbase", release.suite, str(root)]
            done = subprocess.run(command, stdout=output, stderr=output, check=False)
        if done.returncode:
            raise ImageError(f"debootstrap failed; the log is {log}")
        # Device nodes are the runtime's business, and only root could unpack them.
        tar = ["tar", "-C", str(root), "--numeric-owner", "--sort=name", "--exclude=./dev/*", "-cf", str(archive), "."]
        subprocess.run(tar, check=True)
        builder.import_rootfs(archive, release.assembled, log)
