"""The Debian 13 image that all others stand on: a public one, or one that debootstrap assembles."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from devkit import packages
from devkit.images.builder import Builder, ImageError
from devkit.paths import cache
from devkit.progress import step

PUBLIC: Final = "docker.io/library/debian:13-slim"
ASSEMBLED: Final = "localhost/shimmy-debian:13"
_SUITE: Final = "trixie"
_PULL_SECONDS: Final = 60


def base_image(builder: Builder) -> str:
    """Reference of the base image: $SHIMMY_BASE_IMAGE, else what is there, else pulled, else assembled.

    Raises:
        ImageError: it can be neither pulled nor assembled.
    """
    if named := os.environ.get("SHIMMY_BASE_IMAGE"):
        return named
    for reference in (PUBLIC, ASSEMBLED):
        if builder.exists(reference):
            return reference
    if builder.pull(PUBLIC, _PULL_SECONDS):
        return PUBLIC
    with step("assembling a Debian 13 base with debootstrap, for no registry has one"):
        _assemble(builder)
    return ASSEMBLED


def _assemble(builder: Builder) -> None:
    if os.geteuid() != 0:
        raise ImageError("the base image cannot be pulled, and assembling one needs root; or set SHIMMY_BASE_IMAGE")
    try:
        packages.require("a Debian base of our own", [packages.program("debootstrap", "debootstrap")])
    except packages.MissingError as error:
        raise ImageError(f"the base image cannot be pulled; {error}") from error
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "base.log"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root, archive = Path(scratch, "root"), Path(scratch, "root.tar")
        with log.open("wb") as output:
            command = ["debootstrap", "--variant=minbase", _SUITE, str(root)]
            done = subprocess.run(command, stdout=output, stderr=output, check=False)
        if done.returncode:
            raise ImageError(f"debootstrap failed; the log is {log}")
        # Device nodes are the runtime's business, and only root could unpack them.
        tar = ["tar", "-C", str(root), "--numeric-owner", "--sort=name", "--exclude=./dev/*", "-cf", str(archive), "."]
        subprocess.run(tar, check=True)
        builder.import_rootfs(archive, ASSEMBLED, log)
