"""Writes a docker-archive with images of one layer each, from local files: no daemon and no registry is needed.

Format: https://github.com/moby/docker-image-spec (image.md, "combined image JSON + filesystem changeset format").
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

_CREATED: Final = "1970-01-01T00:00:00Z"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """What one image holds."""

    tag: str
    entrypoint: Sequence[str] = ()
    user: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Programs, by their path in the image."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links: path to target."""
    folders: Mapping[str, int] = field(default_factory=dict)
    """Folders with a mode of their own."""


def write(path: Path, images: Sequence[Image]) -> None:
    """Write the archive at once or not at all."""
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w") as archive:
        manifest = [_add_image(archive, image) for image in images]
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    partial.rename(path)


def _add_image(archive: tarfile.TarFile, image: Image) -> dict[str, Any]:
    layer = _layer(image)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": _CREATED,
            "config": {
                "Entrypoint": list(image.entrypoint) or None,
                "Env": [f"PATH={_PATH}"],
                "User": image.user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": _CREATED}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    have = set(archive.getnames())
    for path, data in ((name, config), (f"{digest}/layer.tar", layer)):
        if path not in have:
            _add(archive, path, data)
    return {"Config": name, "RepoTags": [image.tag], "Layers": [f"{digest}/layer.tar"]}


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in _folders(image):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, image.folders.get(folder, 0o755)
            layer.addfile(entry)
        for name, source in image.files.items():
            _add(layer, name.lstrip("/"), source.read_bytes(), mode=0o755)
        for name, target in image.links.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            layer.addfile(entry)
    return buffer.getvalue()


def _folders(image: Image) -> list[str]:
    """Every folder of the image, parents before children."""
    parents = {str(p) for name in (*image.files, *image.links) for p in PurePosixPath(name).parents}
    return sorted((parents | set(image.folders)) - {"/"})


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))
