"""A bill of materials for an image, read from the image itself, in CycloneDX 1.6 JSON."""

import email
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from devkit import shimmy_build
from devkit.images.catalogue import Image, version

_DPKG_STATUS = "var/lib/dpkg/status"


def write_sbom(image: Image, archive: Path, destination: Path) -> None:
    """Write the bill of materials of a docker-archive."""
    bom = Bom()
    described = Component(name=image.name, version=version(), type=ComponentType.CONTAINER, bom_ref=image.reference)
    bom.metadata.component = described
    components = list(_components(image, archive))
    bom.components.update(components)
    bom.register_dependency(described, components)
    output = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    destination.write_text(output.output_as_string(indent=2), encoding="utf-8")


def _components(image: Image, archive: Path) -> Iterator[Component]:
    if image.program:
        recipe = shimmy_build.recipes()[image.program]
        yield _component("cargo", "shimmy", recipe.version)
    with tarfile.open(archive) as outer:
        manifest = json.load(_read(outer, "manifest.json"))[0]
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=_read(outer, name)) as layer:
                yield from _installed(layer)


def _installed(layer: tarfile.TarFile) -> Iterator[Component]:
    for member in layer:
        name = member.name.removeprefix("./")
        if name == _DPKG_STATUS:
            yield from _debian(_read(layer, member).read().decode())
        elif name.endswith(".dist-info/METADATA"):
            metadata = email.message_from_bytes(_read(layer, member).read())
            yield _component("pypi", metadata["Name"], metadata["Version"])


def _debian(status: str) -> Iterator[Component]:
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version): (.*)$", paragraph, re.MULTILINE))
        if fields:
            yield _component("deb", fields["Package"], fields["Version"], namespace="debian")


def _component(kind: str, name: str, release: str, namespace: str | None = None) -> Component:
    url = PackageURL(kind, namespace, name, release)
    return Component(name=name, version=release, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string())


def _read(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> IO[bytes]:
    """A member's content; layers may be links to other members' content."""
    return archive.extractfile(member) or io.BytesIO()
