"""Builds the two lines of Shimmy from crates.io into the user's cache.

- `shimmy-llama`: Shimmy 1.8.1 with llama.cpp, which compiles for the very CPU that it is built on unless it is told
  otherwise, so on x86-64 the build names a baseline: x86-64-v3 (AVX2, FMA, BMI2, F16C: Intel since Haswell, AMD since
  Zen). CUDA is a cargo feature: SHIMMY_LLAMA_FEATURES=llama-cuda.
- `shimmy-airframe`: Shimmy 2.6.5 (wgpu/Vulkan).

Both are patched: hack/patches/CRATE-VERSION.patch says what for. `shimmy-llama-upstream` and `shimmy-airframe-upstream`
are not: the tests learn from them what the runner must expect of a Shimmy that was built elsewhere.

A binary's name in the cache ends in a digest of everything that it was made from, so that a changed version, patch,
feature or flag builds anew and an unchanged one never does.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from devkit import packages
from devkit.packages import Part, program
from devkit.paths import cache
from devkit.progress import say

PATCHES = Path(__file__).parents[1] / "patches"
BUILD_DATE = "1767225600"
"""2026-01-01: a fixed SOURCE_DATE_EPOCH, at which ggml's CMake files also give up -march=native."""


_C = (program("cc", "gcc"), program("patch", "patch"))
_LLAMA_CPP = (
    *(program("c++", "g++"), program("cmake", "cmake"), program("clang", "clang")),
    # bindgen loads it at build time.
    Part("libclang", "libclang-dev", lambda: any(Path("/usr/lib").glob("llvm-*/lib/libclang*.so*"))),
)


class BuildError(Exception):
    """The build cannot start or failed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one binary is made from."""

    version: str
    patched: tuple[str, ...] = ()
    """`name-version` of the crates to patch: shimmy itself, or its dependencies."""
    features: str = ""
    baseline: str = ""
    """C and C++ target architecture on x86-64."""
    tools: tuple[Part, ...] = _C
    """Programs that the build needs, each with the way to get it."""

    def digest(self) -> str:
        """Names this recipe on this kind of machine."""
        parts = (
            self.version,
            self.features,
            *((PATCHES / f"{crate}.patch").read_text() for crate in self.patched),
            self.baseline,
            platform.machine(),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def recipes() -> dict[str, Recipe]:
    """Every binary that can be built here, by name."""
    baseline = "x86-64-v3" if platform.machine() == "x86_64" else ""
    llama = Recipe(
        "1.8.1",
        features=os.environ.get("SHIMMY_LLAMA_FEATURES", ""),
        baseline=baseline,
        tools=_C + _LLAMA_CPP,
    )
    airframe = Recipe("2.6.5")
    return {
        "shimmy-llama": replace(llama, patched=("shimmy-1.8.1",)),
        "shimmy-airframe": replace(airframe, patched=("shimmy-2.6.5", "airframe-0.4.4", "dzero-0.1.0")),
        "shimmy-llama-upstream": llama,
        "shimmy-airframe-upstream": airframe,
    }


def build(name: str) -> Path:
    """Path of the binary `name` in the cache, built first where it is missing (4 to 8 minutes on two cores).

    Raises:
        BuildError: a tool is missing or the build failed.
    """
    recipe = recipes()[name]
    key = f"{name}-{recipe.digest()}"
    binary = cache() / "bin" / key
    with _lock(cache() / "build" / f"{key}.lock"):
        if not binary.exists():
            _require(recipe)
            _build(name, recipe, cache() / "build" / key, binary)
    return binary


def _require(recipe: Recipe) -> None:
    if not shutil.which("cargo"):
        raise BuildError("Rust's cargo is needed to build Shimmy: https://rustup.rs, or your distribution's package")
    try:
        packages.require("a build of Shimmy", recipe.tools)
    except packages.MissingError as error:
        raise BuildError(str(error)) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold `path` for this process, so that two callers do not build the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(name: str, recipe: Recipe, workdir: Path, binary: Path) -> None:
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    command = ["cargo", "install", "--locked", "--bin", "shimmy", *_source(recipe, workdir)]
    command += ["--root", str(workdir / "root"), "--target-dir", str(workdir / "target"), "--no-track", "--quiet"]
    if recipe.features:
        command += ["--features", recipe.features]
    say(f"building {name} {recipe.version} (4 to 8 minutes on two cores, once)")
    start = time.monotonic()
    log = workdir.with_suffix(".log")
    with log.open("wb") as output:
        code = subprocess.run(command, env=_environment(recipe, workdir), stdout=output, stderr=output, check=False)
    if code.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise BuildError(f"{name}: cargo failed; the log is {log}\n{tail}")
    binary.parent.mkdir(parents=True, exist_ok=True)
    partial = binary.with_suffix(".partial")
    shutil.copy2(workdir / "root" / "bin" / "shimmy", partial)
    partial.rename(binary)
    shutil.rmtree(workdir)
    seconds = round(time.monotonic() - start)
    say(f"built {name} {recipe.version} in {seconds} s: {binary.stat().st_size / 1e6:.1f} MB")


def _environment(recipe: Recipe, workdir: Path) -> dict[str, str]:
    """The build's environment: no path and no date of this machine gets into the binary."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    maps = {str(home): "/cargo", str(workdir): "/build"}
    rust = " ".join(f"--remap-path-prefix={old}={new}" for old, new in maps.items())
    c_flags = " ".join(f"-ffile-prefix-map={old}={new}" for old, new in maps.items())
    if recipe.baseline:
        c_flags += f" -march={recipe.baseline}"
    return os.environ | {
        "CARGO_PROFILE_RELEASE_STRIP": "true",
        "RUSTFLAGS": rust,
        "CFLAGS": c_flags,
        "CXXFLAGS": c_flags,
        "SOURCE_DATE_EPOCH": BUILD_DATE,
    }


def _source(recipe: Recipe, workdir: Path) -> list[str]:
    """Arguments that tell cargo what to build: shimmy as it is in the registry, or patched copies."""
    copies = {crate.rpartition("-")[0]: _patched(crate, workdir) for crate in recipe.patched}
    shimmy = copies.pop("shimmy", None)
    arguments = ["--path", str(shimmy)] if shimmy else ["shimmy", "--version", recipe.version]
    for name, folder in copies.items():
        arguments += ["--config", f'patch.crates-io.{name}.path="{folder}"']
    return arguments


def _patched(crate: str, workdir: Path) -> Path:
    """Get the crate to patch through cargo, which checks it against the registry's index, and patch a copy."""
    name, _, version = crate.rpartition("-")
    dummy = workdir / f"unpack-{crate}"
    (dummy / "src").mkdir(parents=True)
    (dummy / "src" / "lib.rs").touch()
    package = '[package]\nname = "unpack"\nversion = "0.0.0"\nedition = "2021"\n'
    dependency = f'{name} = {{ version = "={version}", default-features = false }}'
    (dummy / "Cargo.toml").write_text(f"{package}\n[dependencies]\n{dependency}\n")
    command = ["cargo", "metadata", "--format-version", "1", "--quiet"]
    packages = json.loads(subprocess.check_output(command, cwd=dummy))["packages"]
    manifest = next(p["manifest_path"] for p in packages if (p["name"], p["version"]) == (name, version))
    source = workdir / crate
    shutil.copytree(Path(manifest).parent, source)
    patch = PATCHES / f"{crate}.patch"
    subprocess.run(["patch", "--strip=1", "--quiet", f"--input={patch}"], cwd=source, check=True)
    return source


def main() -> None:
    """Build the named binaries and print their paths."""
    try:
        for name in sys.argv[1:] or recipes():
            print(build(name))
    except BuildError as error:
        sys.exit(f"shimmy_build: {error}")


if __name__ == "__main__":
    main()
