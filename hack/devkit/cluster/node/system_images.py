"""Images of a node's own pods, made from the binaries that were built here."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from devkit import binaries
from devkit.cluster.node import archive
from devkit.cluster.node.archive import Image
from devkit.packages import search_path
from devkit.paths import cache

REGISTRY: Final = "shimmy-dev.local"
"""No such registry exists: these images are loaded into the node and never pulled."""
PAUSE: Final = f"{REGISTRY}/pause:1"
COREDNS: Final = f"{REGISTRY}/coredns:1"
PROVISIONER: Final = f"{REGISTRY}/local-path-provisioner:1"
SHELL: Final = f"{REGISTRY}/shell:1"
"""busybox as every tool, for helper pods and tests."""
ECHO: Final = f"{REGISTRY}/echo:1"
"""Answers any HTTP request at port 8080; `get URL` and `dns NAME` ask instead."""
METRICS: Final = f"{REGISTRY}/metrics-server:1"
_TOOLS: Final = ("sh", "cat", "chmod", "chown", "cp", "ls", "mkdir", "nc", "rm", "sha256sum", "sleep", "tar", "touch")


def build(*, metrics: bool = False) -> Path:
    """The archive with all of them in the user's cache, written where it is missing or its inputs changed.

    Args:
        metrics: metrics-server too.

    Raises:
        binaries.BinaryError: a program cannot be built.
    """
    wanted = images()
    if metrics:
        wanted.append(
            Image(METRICS, ["/metrics-server"], "65532:65532", {"/metrics-server": binaries.ensure("metrics-server")})
        )
    path = cache() / "system-images" / f"{_digest(wanted)}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        archive.write(path, wanted)
    return path


def images() -> list[Image]:
    """What every node has. Programs that are missing are built first; errors as in `build`."""
    busybox = Path(shutil.which("busybox", path=search_path()) or "/bin/busybox")
    temporary = {"/tmp": 0o1777}  # noqa: S108 - a folder inside an image
    return [
        Image(PAUSE, ["/pause"], "65535:65535", {"/pause": binaries.ensure("pause")}),
        Image(COREDNS, ["/coredns"], files={"/coredns": binaries.ensure("coredns")}),
        Image(
            PROVISIONER,
            ["/local-path-provisioner"],
            files={"/local-path-provisioner": binaries.ensure("local-path-provisioner")},
            folders=temporary,
        ),
        Image(
            SHELL,
            ["/bin/sh"],
            files={"/bin/busybox": busybox},
            links={f"/bin/{tool}": "busybox" for tool in _TOOLS},
            folders=temporary,
        ),
        Image(ECHO, ["/echo"], "65532:65532", {"/echo": binaries.ensure("echo")}),
    ]


def _digest(images: list[Image]) -> str:
    digest = hashlib.sha256(Path(archive.__file__).read_bytes())
    for image in images:
        digest.update(repr(image).encode())
        digest.update(repr([(p.stat().st_size, p.stat().st_mtime_ns) for p in image.files.values()]).encode())
    return digest.hexdigest()[:12]
