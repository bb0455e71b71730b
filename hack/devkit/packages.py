"""What the tools need from the machine's distribution: found, installed where that can be done, or named."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devkit.progress import say


class MissingError(Exception):
    """The machine lacks something; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that must be there, and the Debian package that brings it."""

    name: str
    package: str
    present: Callable[[], bool]


def program(name: str, package: str) -> Part:
    """A program on PATH or among the system's programs."""
    return Part(name, package, lambda: shutil.which(name, path=search_path()) is not None)


def search_path() -> str:
    """PATH with the folders of system programs, which a plain user's PATH lacks."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def missing(parts: Iterable[Part]) -> list[str]:
    """Packages of the parts that are not there."""
    return list(dict.fromkeys(part.package for part in parts if not part.present()))


def require(purpose: str, parts: Iterable[Part]) -> None:
    """Make sure that all parts are there; as root on Debian and its kin, install the missing ones and say so.

    Raises:
        MissingError: something is missing and cannot be installed.
    """
    wanted = list(parts)
    packages = missing(wanted)
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing what {purpose} needs: {' '.join(command)}")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update"], command):
            subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if still := missing(wanted):
        raise MissingError(f"{purpose} needs packages like Debian's {' '.join(still)}; try: {' '.join(command)}")
