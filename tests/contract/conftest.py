"""The programs that the contract tests run against: the fake in both lines, and the real Shimmy of each line."""

from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
from tests.contract.running import FAKE, Program, Runner, runner
from tests.fakes.shimmy import toy_gguf

from devkit import models, packages, shimmy_build

VULKAN_LOADER = packages.Part("libvulkan", "libvulkan1", lambda: find_library("vulkan") is not None)
VULKAN_DRIVER = packages.Part(
    "a Vulkan driver",
    "mesa-vulkan-drivers",
    lambda: any(file for folder in ("/usr/share", "/etc") for file in Path(folder, "vulkan/icd.d").glob("*.json")),
)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_gguf.write(tmp_path_factory.mktemp("toy") / "toy.gguf")


@pytest.fixture(params=["llama", "airframe"])
def fake(request: pytest.FixtureRequest, toy: Path) -> Program:
    """Each line's fake."""
    return Program(request.param, FAKE, toy)


@pytest.fixture(scope="session")
def real_llama() -> Program:
    return Program("llama", shimmy_build.build("shimmy-llama"), models.smollm2())


@pytest.fixture(scope="session")
def real_airframe() -> Program:
    """Shimmy 2.6 on a GPU where there is one, else on software Vulkan."""
    packages.require("Shimmy 2.6", [VULKAN_LOADER, VULKAN_DRIVER])
    return Program("airframe", shimmy_build.build("shimmy-airframe"), models.tiny())


@pytest.fixture(params=["fake-llama", "fake-airframe", "real-llama", "real-airframe"], scope="session")
def program(request: pytest.FixtureRequest, toy: Path) -> Program:
    """Each of the four."""
    kind, _, line = request.param.partition("-")
    if kind == "fake":
        return Program(line, FAKE, toy)
    real: Program = request.getfixturevalue(f"real_{line}")  # asked for late: it may have to be built
    return real


@pytest.fixture(scope="session")
def served(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One runner per program for everything that only asks and leaves it as it was."""
    with runner(program, tmp_path_factory.mktemp("served")) as started:
        yield started
