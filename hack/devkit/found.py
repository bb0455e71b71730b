"""Binaries that the machine already has: from KUBEBUILDER_ASSETS, then from PATH, in a fitting version."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.\d+")
_TIMEOUT_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Fit:
    """How a program says its version, and which versions do instead of the pinned one."""

    arguments: tuple[str, ...]
    newer_minors: int | None
    """How many minor releases above the pinned one are accepted; None: any. Older ones never are."""


FITS: Final[dict[str, Fit]] = {
    # The controller manager and the scheduler may be one release older than the API server, never newer.
    # https://kubernetes.io/releases/version-skew-policy/
    "kube-apiserver": Fit(("--version",), 1),
    "kubectl": Fit(("version", "--client"), 1),
    "kube-controller-manager": Fit(("--version",), 0),
    "kube-scheduler": Fit(("--version",), 0),
    "etcd": Fit(("--version",), None),
    "kwok": Fit(("--version",), None),
    "helm": Fit(("version", "--short"), None),
    "kind": Fit(("version",), None),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A program on this machine and whether it is taken."""

    path: str
    version: str
    fits: bool


def find(name: str, pinned: str) -> Found | None:
    """The machine's own program `name`, or None where it has none or none that says its version."""
    fit = FITS.get(name)
    if fit is None:
        return None
    folders = os.pathsep.join(filter(None, (os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH"))))
    path = shutil.which(name, path=folders)
    if path is None:
        return None
    try:
        told = subprocess.run(
            [path, *fit.arguments], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(told.stdout + told.stderr)
    return Found(path, version.group(0), fits(version.group(0), pinned, fit)) if version else None


def fits(version: str, pinned: str, fit: Fit) -> bool:
    """Whether `version` may stand in for `pinned`: the same major release, and a minor that `fit` accepts."""
    have, want = _VERSION.search(version), _VERSION.search(pinned)
    if have is None or want is None or have.group(1) != want.group(1):
        return False
    ahead = int(have.group(2)) - int(want.group(2))
    return ahead >= 0 and (fit.newer_minors is None or ahead <= fit.newer_minors)
