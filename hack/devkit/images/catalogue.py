"""The images: what each is made of."""

import os
import tomllib
from dataclasses import dataclass
from typing import Final

from devkit.paths import REPOSITORY

REGISTRY: Final = "shimmy.dev"
"""First part of every image's name. A name without one would be taken for an image of Docker Hub's library."""
PYTHON: Final = "3.13"
"""Of Debian 13, which the images stand on."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image."""

    name: str
    target: str
    """Stage of images/Dockerfile."""
    component: str
    """Lock file in requirements/ and entry point."""
    title: str
    packages: tuple[str, ...] = ()
    """Debian packages beyond Python that it needs at run time."""
    program: str = ""
    """Binary of `hack/binaries` that becomes /usr/local/bin/shimmy."""

    @property
    def reference(self) -> str:
        """Name with registry and tag."""
        return f"{REGISTRY}/{self.name}:{version()}"


def version() -> str:
    """Version of this project, which tags its images."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


_LLAMA_PACKAGES: Final = os.environ.get("SHIMMY_LLAMA_PACKAGES", "").split()
"""CUDA's run-time libraries, for a Shimmy that is built with SHIMMY_LLAMA_FEATURES=llama-cuda."""
# Software Vulkan (mesa-vulkan-drivers) makes the airframe image run on machines without a GPU; on GPU nodes the
# vendor's driver is mounted by its container toolkit. The profile costs about 190 MB.
_AIRFRAME: Final = ("libstdc++6", "libvulkan1")

CATALOGUE: Final[dict[str, Image]] = {
    image.name: image
    for image in (
        Image("shimmy-operator", "operator", "operator", "Shimmy fleet operator"),
        Image("shimmy-meter", "meter", "meter", "Shimmy metrics server"),
        Image("shimmy-router", "router", "router", "Shimmy router: Envoy and its agent", ("libstdc++6",)),
        Image(
            "shimmy-engine-llama",
            "engine",
            "engine",
            "Shimmy 1.8 on llama.cpp with its runner",
            ("libstdc++6", *_LLAMA_PACKAGES),
            "shimmy-llama",
        ),
        Image(
            "shimmy-engine-airframe",
            "engine",
            "engine",
            "Shimmy 2.6 on Vulkan with its runner",
            _AIRFRAME,
            "shimmy-airframe",
        ),
        Image(
            "shimmy-engine-airframe-software",
            "engine",
            "engine",
            "Shimmy 2.6 with software Vulkan and its runner",
            (*_AIRFRAME, "mesa-vulkan-drivers"),
            "shimmy-airframe",
        ),
    )
}
