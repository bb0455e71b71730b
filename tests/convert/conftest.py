"""Reference models, and the real programs that answer with what they become."""

from pathlib import Path

import pytest
from tests.contract.conftest import VULKAN_DRIVER, VULKAN_LOADER
from tests.convert import reference

from devkit import packages, shimmy_build


@pytest.fixture(scope="session")
def made() -> Path:
    """The folder with the models and adapters that transformers and peft saved."""
    return reference.reference()


@pytest.fixture(scope="session")
def wanted(made: Path) -> dict[str, dict[str, list[list[str]]]]:
    return reference.answers(made)


@pytest.fixture(scope="session")
def shimmy_llama() -> Path:
    return shimmy_build.build("shimmy-llama")


@pytest.fixture(scope="session")
def shimmy_airframe() -> Path:
    packages.require("Shimmy 2.6", [VULKAN_LOADER, VULKAN_DRIVER])
    return shimmy_build.build("shimmy-airframe")
