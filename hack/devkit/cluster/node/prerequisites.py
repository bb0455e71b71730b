"""What a real node needs from the machine's distribution."""

import os
from pathlib import Path
from typing import Final

from devkit import packages
from devkit.packages import MissingError, Part, program

CNI_FOLDERS: Final = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))
_CNI_PLUGINS: Final = ("ptp", "host-local", "portmap", "loopback")


def cni_folder() -> Path | None:
    """Where the CNI plugins are."""
    complete = (f for f in CNI_FOLDERS if all((f / plugin).exists() for plugin in _CNI_PLUGINS))
    return next(complete, None)


PARTS: Final = (
    program("containerd", "containerd"),
    program("ctr", "containerd"),
    program("runc", "runc"),
    Part("CNI plugins", "containernetworking-plugins", lambda: cni_folder() is not None),
    program("ip", "iproute2"),
    program("iptables", "iptables"),
    program("ipset", "ipset"),
    program("nsenter", "util-linux"),
    program("sysctl", "procps"),
    program("busybox", "busybox-static"),
)


def require() -> None:
    """Make sure that everything is there; errors as in packages.require, and where this is not root on Linux."""
    if os.uname().sysname != "Linux" or os.geteuid() != 0:
        raise MissingError("a real node needs root on Linux: run this with sudo, or take --profile cluster")
    packages.require("a real node", PARTS)
