"""From an image's description to its archive in the cache."""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit import shimmy_build
from devkit.images import wheels
from devkit.images.base import base_image
from devkit.images.builder import find_builder
from devkit.images.catalogue import CATALOGUE, Image, version
from devkit.images.sbom import write_sbom
from devkit.paths import REPOSITORY, cache
from devkit.progress import say, step

_SOURCE: Final = REPOSITORY / "images"


@dataclass(frozen=True, slots=True)
class Built:
    """An image that is in the cache."""

    image: Image
    archive: Path
    """docker-archive, as `docker load`, `ctr images import` and `hack/cluster load` take it."""
    sbom: Path
    """CycloneDX, JSON."""


def build(names: Iterable[str]) -> list[Built]:
    """Build the images, or find them in the cache where nothing that they are made of has changed.

    Raises:
        ImageError: an image cannot be built.
        shimmy_build.BuildError: Shimmy cannot be built.
    """
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [_ensure(CATALOGUE[name], folder) for name in names]


def _ensure(image: Image, folder: Path) -> Built:
    program = shimmy_build.build(image.program) if image.program else None
    stem = f"{image.name}-{_digest(image, program)}"
    built = Built(image, folder / f"{stem}.tar", folder / f"{stem}.cdx.json")
    if built.archive.exists() and built.sbom.exists():
        say(f"image {image.reference}: up to date, {_megabytes(built.archive)}")
        return built
    with step(f"image {image.reference}"):
        _build(image, program, built)
    say(f"image {image.reference}: {_megabytes(built.archive)}")
    return built


def _build(image: Image, program: Path | None, built: Built) -> None:
    builder = find_builder()
    base = base_image(builder)
    log = built.archive.with_suffix(".log")
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=built.archive.parent) as scratch:
        context, partial = Path(scratch, "context"), Path(scratch, "image.tar")
        _lay_out(context, image, program)
        builder.build(
            context,
            target=image.target,
            tag=image.reference,
            arguments={
                "BASE_IMAGE": base,
                "PACKAGES": " ".join(image.packages),
                "COMPONENT": image.component,
            },
            labels=_labels(image),
            log=log,
        )
        builder.save(image.reference, partial, log)
        write_sbom(image, partial, built.sbom)
        partial.rename(built.archive)
    _remove_older(image, built)


def _lay_out(context: Path, image: Image, program: Path | None) -> None:
    for folder in ("wheels", "project", "programs"):
        (context / folder).mkdir(parents=True)
    for source in _SOURCE.iterdir():
        shutil.copy(source, context)
    lock = context / "requirements.txt"
    lock.write_text(wheels.requirements(image.component), encoding="utf-8")
    wheels.fetch(lock, context / "wheels")
    wheels.build_project(context / "project")
    if program:
        shutil.copy(program, context / "programs" / "shimmy")


def _labels(image: Image) -> dict[str, str]:
    """Annotations of https://github.com/opencontainers/image-spec, annotations.md."""
    return {
        "org.opencontainers.image.title": image.title,
        "org.opencontainers.image.version": version(),
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


def _digest(image: Image, program: Path | None) -> str:
    """Of everything that the image is made of; the program's name holds the digest of its own inputs."""
    digest = hashlib.sha256(repr(image).encode())
    digest.update(str(program and program.name).encode())
    sources = [
        *_SOURCE.iterdir(),
        REPOSITORY / "pyproject.toml",
        REPOSITORY / "requirements" / f"{image.component}.txt",
    ]
    for package in {"shimmy_api", "shimmy_engine", f"shimmy_{image.component}"}:
        sources += (REPOSITORY / "operator" / package).rglob("*.py")
    for path in sorted(sources):
        digest.update(path.relative_to(REPOSITORY).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _remove_older(image: Image, built: Built) -> None:
    """Archives of the same image that an older state of the sources made."""
    for path in built.archive.parent.glob(f"{image.name}-????????????.*"):
        if not path.name.startswith(built.archive.stem):
            path.unlink()


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.0f} MB"
