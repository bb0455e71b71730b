"""Builds the container images into archives in the user's cache: `hack/images`."""

from devkit.images.base import base_image
from devkit.images.build import Built, build
from devkit.images.builder import ImageError
from devkit.images.catalogue import CATALOGUE, Image

__all__ = ["CATALOGUE", "Built", "Image", "ImageError", "base_image", "build"]
