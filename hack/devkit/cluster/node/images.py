"""Images in a node's containerd."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from devkit.cluster.node.settings import Node


class ImageError(Exception):
    """The node's containerd refused something; the message is its own."""


def answers(node: Node) -> bool:
    """Whether containerd is up."""
    try:
        return bool(_ctr(node, "version"))
    except ImageError:
        return False


def load(node: Node, archives: Sequence[Path]) -> list[str]:
    """Import docker-archives or OCI archives into the node; the names of the images that it then has.

    Raises:
        ImageError: an archive cannot be read.
    """
    for path in archives:
        _ctr(node, "images", "import", str(path.absolute()))
    return names(_ctr(node, "images", "list", "--quiet").split())


def names(listed: Sequence[str]) -> list[str]:
    """Names that a pod can use: containerd lists each image a second time by its content."""
    return [name for name in listed if "@" not in name and not name.startswith("sha256:")]


def _ctr(node: Node, *arguments: str) -> str:
    command = ["ctr", f"--address={node.socket}", "--namespace=k8s.io", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
