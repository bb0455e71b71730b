"""The Python packages of an image, fetched before its build: the build itself needs no package index."""

import platform
import subprocess
from pathlib import Path
from typing import Final

from devkit.images.builder import ImageError
from devkit.images.catalogue import PYTHON
from devkit.paths import REPOSITORY, cache

_GLIBC: Final = 41
"""Minor version of Debian 13's C library: wheels for it and for every older one fit (PEP 600)."""
_OLDEST_GLIBC: Final = 5


def requirements(component: str) -> str:
    """The component's lock for the images' own Python and platform: exact versions and hashes, no markers."""
    command = ["uv", "pip", "compile", str(REPOSITORY / "requirements" / f"{component}.txt"), "--no-deps", "--quiet"]
    command += ["--python-version", PYTHON, "--python-platform", f"{platform.machine()}-manylinux_2_40"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"uv cannot resolve requirements/{component}.txt for Python {PYTHON}: {done.stderr.strip()}")
    return done.stdout


def fetch(lock: Path, destination: Path) -> None:
    """Download every wheel of a lock, by way of the user's cache.

    Raises:
        ImageError: a wheel is missing, or its hash is wrong.
    """
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, _OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    command = ["pip", "download", "--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:"]
    command += ["--requirement", str(lock), "--dest", str(destination), "--python-version", PYTHON]
    command += ["--implementation=cp", "--cache-dir", str(cache() / "pip")]
    command += [f"--platform={name}" for name in platforms]
    _run(command)


def build_project(destination: Path) -> None:
    """Build this project's own wheel.

    Raises:
        ImageError: the build failed.
    """
    _run(["pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(destination), str(REPOSITORY)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"{' '.join(command[:2])}: {done.stderr.strip()}")
