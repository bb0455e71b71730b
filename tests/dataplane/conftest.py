"""One router for a module, with tenants a and b; each serves its model m by the runner and the fake Shimmy."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, Program, Runner, runner
from tests.dataplane.plane import Objects, Plane, model, plane, tenant
from tests.fakes.shimmy import toy_gguf


@dataclass(frozen=True)
class Fleet:
    """Everything that a test may look at or change."""

    plane: Plane
    objects: Objects
    engine: Runner
    port: int
    """The engine's."""


def serve(objects: Objects, port: int) -> None:
    """Write the objects that every test finds."""
    objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", aliases=["gpt"], ports=[port])])
    objects.write("b", [*tenant("b", token=TOKEN), *model("b", "own", ports=[port]), *model("b", "cold")])
    objects.write("s", [*tenant("s", token=TOKEN), *model("s", "m", ports=[port])])


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("engine")
    toy = toy_gguf.write(folder / "toy.gguf")
    with runner(Program("llama", FAKE, toy), folder / "runner", "--queue", "64") as started:
        yield started


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, engine: Runner) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("plane")
    objects = Objects(folder / "objects")
    port = httpx.URL(engine.url).port
    assert port
    serve(objects, port)
    with plane(folder, ["--directory", str(objects.folder)]) as started:
        yield Fleet(started, objects, engine, port)
