"""Finds or builds the programs that a development cluster runs: `hack/binaries`.

A program is taken from KUBEBUILDER_ASSETS or PATH where a fitting version is there, else built from its pinned Go
module into the user's cache. The folder in the cache is named by a digest of the module's files, the linker flags
and the Go version, so a change builds anew and nothing else does.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devkit import found, shimmy_build
from devkit.paths import cache
from devkit.progress import say
from devkit.recipes import RECIPES, Recipe, recipe_of

_PROGRESS_SECONDS: Final = 20
_LOG_TAIL_LINES: Final = 20


class BinaryError(Exception):
    """A program can be neither found nor built; the message says what to do."""


def ensure(name: str) -> Path:
    """Path of the program `name`, found or built.

    Raises:
        BinaryError: there is no such program, Go is missing, or the build failed.
    """
    try:
        recipe = RECIPES[recipe_of(name)]
    except KeyError as error:
        raise BinaryError(f"no program '{name}'; known are: {', '.join(known())}") from error
    program = recipe.output if name in RECIPES else name
    own = found.find(program, recipe.version())
    if own and own.fits:
        return Path(own.path)
    return built(recipe) / program


def built(recipe: Recipe) -> Path:
    """The folder in the cache that holds the recipe's program and its further names, built first where missing.

    Raises:
        BinaryError: Go is missing or the build failed.
    """
    if not shutil.which("go"):
        raise BinaryError(
            f"Go is needed to build {recipe.output}: install Go 1.24 or newer (https://go.dev/dl, or apt-get install "
            "golang-go on Debian 13), or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl"
        )
    folder = cache() / "bin" / f"{recipe.output}-{recipe.version()}-{_digest(recipe)}"
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            _build(recipe, folder)
    return folder


def known() -> list[str]:
    """Every name that can be asked for."""
    links = [link for recipe in RECIPES.values() for link in recipe.links]
    return [*RECIPES, *links, *shimmy_build.recipes()]


def _digest(recipe: Recipe) -> str:
    digest = hashlib.sha256(recipe.linker_flags().encode())
    digest.update(recipe.package.encode())
    # Asked in the module's folder, for go.mod may choose another toolchain than the installed one.
    digest.update(subprocess.check_output(["go", "version"], cwd=recipe.path))
    for path in sorted(p for p in recipe.path.rglob("*") if p.is_file()):
        digest.update(path.relative_to(recipe.path).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe, folder: Path) -> None:
    """Build into a temporary folder and rename it, so that a killed build leaves nothing that looks whole."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    label = f"{recipe.output} {recipe.version()}"
    say(f"building {label} from its Go module (about {recipe.minutes:g} min with empty Go caches, once)")
    start = time.monotonic()
    command = ["nice", "-n", "5", "go", "build", "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", recipe.linker_flags(), "-o", str(partial / recipe.output), recipe.package]
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as output:
        environment = os.environ | {"CGO_ENABLED": "0"}
        build = subprocess.Popen(command, cwd=recipe.path, env=environment, stdout=output, stderr=output)
        code = _watch(build, label, start)
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
        raise BinaryError(f"{label}: go build failed; the log is {log}\n{tail}")
    for link in recipe.links:
        (partial / link).symlink_to(recipe.output)
    megabytes = (partial / recipe.output).stat().st_size / 1e6
    partial.rename(folder)
    log.unlink()
    say(f"built {label} in {time.monotonic() - start:.0f} s: {megabytes:.0f} MB")


def _watch(build: subprocess.Popen[bytes], label: str, start: float) -> int:
    while True:
        try:
            return build.wait(timeout=_PROGRESS_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"building {label}: {time.monotonic() - start:.0f} s")


def _paths(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        if name in shimmy_build.recipes():
            yield shimmy_build.build(name)
            continue
        path = ensure(name)
        if not path.is_relative_to(cache()):
            say(f"taking {name} from {path}")
        yield path


def main() -> None:
    """Print the path of each program asked for, one a line."""
    parser = argparse.ArgumentParser(
        prog="hack/binaries", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"one of: {', '.join(known())}")
    arguments = parser.parse_args()
    try:
        for path in _paths(arguments.names):
            print(path, flush=True)
    except (BinaryError, shimmy_build.BuildError) as error:
        sys.exit(f"hack/binaries: {error}")


if __name__ == "__main__":
    main()
