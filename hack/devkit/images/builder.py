"""The program that builds images: whichever of buildah, podman and Docker works on this machine."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit import packages
from devkit.paths import cache

EPOCH: Final = 1767225600
"""2026-01-01, the time stamp of every file in every image: the same inputs give the same image."""
_TAIL_LINES: Final = 25


class ImageError(Exception):
    """An image cannot be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Builder:
    """A program that understands Dockerfiles."""

    command: tuple[str, ...]
    """Program and global options."""
    kind: str
    """buildah, podman or docker."""

    def build(
        self,
        context: Path,
        *,
        target: str,
        tag: str,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        log: Path,
    ) -> None:
        """Build a stage of context/Dockerfile.

        Raises:
            ImageError: the build failed; the message ends with the end of its log.
        """
        command = [*self.command, "build", "--network=host", f"--target={target}", f"--tag={tag}"]
        for key, value in arguments.items():
            command += ["--build-arg", f"{key}={value}"]
        for key, value in labels.items():
            command += ["--label", f"{key}={value}"]
        if self.kind == "docker":
            command += ["--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"]
        else:
            command += ["--layers", f"--timestamp={EPOCH}"]
        # Root needs no user namespace, and chroot no runtime that may set what the machine does not allow.
        if self.kind == "buildah":
            command.append("--isolation=chroot")
        self._run([*command, str(context)], log)

    def save(self, tag: str, archive: Path, log: Path) -> None:
        """Write an image as a docker-archive; errors as in `build`."""
        archive.unlink(missing_ok=True)
        if self.kind == "docker":
            self._run([*self.command, "save", "--output", str(archive), tag], log)
        else:
            self._run([*self.command, "push", tag, f"docker-archive:{archive}:{tag}"], log)

    def exists(self, tag: str) -> bool:
        """Whether the image is in the builder's own store."""
        return self._quiet("inspect", "--type=image", tag)

    def pull(self, reference: str, seconds: float) -> bool:
        """Try to pull an image."""
        return self._quiet("pull", reference, seconds=seconds)

    def import_rootfs(self, archive: Path, tag: str, log: Path) -> None:
        """Make an image of one layer from a tar of a root file system; errors as in `build`."""
        if self.kind != "buildah":
            self._run([*self.command, "import", str(archive), tag], log)
            return
        container = subprocess.check_output([*self.command, "from", "scratch"], text=True).strip()
        try:
            self._run([*self.command, "add", "--quiet", container, str(archive), "/"], log)
            self._run([*self.command, "commit", "--quiet", f"--timestamp={EPOCH}", container, tag], log)
        finally:
            self._quiet("rm", container)

    def _quiet(self, *arguments: str, seconds: float = 60) -> bool:
        try:
            done = subprocess.run([*self.command, *arguments], capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _run(self, command: Sequence[str], log: Path) -> None:
        environment = os.environ | {"DOCKER_BUILDKIT": "1"}
        with log.open("ab") as output:
            done = subprocess.run(command, stdout=output, stderr=output, env=environment, check=False)
        if done.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            raise ImageError(f"{self.kind} failed; the log is {log}\n{tail}")


def find_builder() -> Builder:
    """The builder of this machine.

    Raises:
        ImageError: there is none.
    """
    if docker := _docker():
        return Builder((docker,), "docker")
    if (podman := shutil.which("podman")) and _works([podman, "info"]):
        return Builder((podman,), "podman")
    try:
        packages.require("a build of images without Docker or podman", [packages.program("buildah", "buildah")])
    except packages.MissingError as error:
        raise ImageError(f"no builder of images works here: start Docker, or install podman; {error}") from error
    # A store of our own, so that nothing is left outside of the cache.
    store = cache() / "containers"
    return Builder(("buildah", f"--root={store / 'storage'}", f"--runroot={store / 'run'}"), "buildah")


def _docker() -> str:
    """A Docker client that reaches an engine and has BuildKit: several may be on PATH, not all of them do."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        program = shutil.which("docker", path=folder)
        if program and _works([program, "info"]) and _builds(program):
            return program
    return ""


def _builds(program: str) -> bool:
    """Whether the client has BuildKit: built in before version 23, a plugin since."""
    version = subprocess.run(
        [program, "version", "--format", "{{.Client.Version}}"], capture_output=True, text=True, check=False
    ).stdout
    major = version.strip().split(".")[0]
    return (major.isdigit() and int(major) < 23) or _works([program, "buildx", "version"])


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
