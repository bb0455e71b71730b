"""What a real node needs from the machine's distribution."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CNI_FOLDERS: Final = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))
_CNI_PLUGINS: Final = ("ptp", "host-local", "portmap", "loopback")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that must be there, and the Debian package that brings it."""

    name: str
    package: str
    present: Callable[[], bool]


def _program(name: str, package: str) -> Part:
    return Part(name, package, lambda: shutil.which(name, path=search_path()) is not None)


def search_path() -> str:
    """PATH with the folders of system programs, which a plain user's PATH lacks."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def cni_folder() -> Path | None:
    """Where the CNI plugins are."""
    complete = (f for f in CNI_FOLDERS if all((f / plugin).exists() for plugin in _CNI_PLUGINS))
    return next(complete, None)


PARTS: Final = (
    _program("containerd", "containerd"),
    _program("ctr", "containerd"),
    _program("runc", "runc"),
    Part("CNI plugins", "containernetworking-plugins", lambda: cni_folder() is not None),
    _program("ip", "iproute2"),
    _program("iptables", "iptables"),
    _program("ipset", "ipset"),
    _program("nsenter", "util-linux"),
    _program("sysctl", "procps"),
    _program("busybox", "busybox-static"),
)


class MissingError(Exception):
    """No node can run on this machine; the message says what to do."""


def require(say: Callable[[str], None]) -> None:
    """Make sure that everything is there; on Debian, as root, install what is missing and say so.

    Raises:
        MissingError: no Linux, not root, or something is missing that cannot be installed.
    """
    if os.uname().sysname != "Linux" or os.geteuid() != 0:
        raise MissingError("a real node needs root on Linux: run this with sudo, or take --profile cluster")
    packages = missing(PARTS)
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if shutil.which("apt-get"):
        say(f"installing what a node needs: {' '.join(command)}")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if still := missing(PARTS):
        raise MissingError(f"a real node needs packages like Debian's: {' '.join(still)}; try: {' '.join(command)}")


def missing(parts: Iterable[Part]) -> list[str]:
    """Packages of the parts that are not there."""
    return list(dict.fromkeys(part.package for part in parts if not part.present()))
