"""Models that share pods: a request goes to a pod that has its model, and a change is made only where none has it."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, Program, Runner, runner_of
from tests.dataplane.plane import Objects, Plane, chat, key_of, model, plane, tenant
from tests.fakes.shimmy import toy_gguf

from devkit.waiting import until

MODELS = ("a", "b", "c")


@dataclass(frozen=True)
class World:
    """Two pods that three models share, and a router."""

    plane: Plane
    pods: list[Runner]

    def ask(self, name: str) -> httpx.Response:
        with self.plane.client(key_of("s")) as client:
            return client.post("/v1/chat/completions", json=chat(model_name=name))

    def swaps(self) -> int:
        """Changes of models that were made so far."""
        texts = (pod.client.get("/metrics").text for pod in self.pods)
        found = (
            re.search(r'^shimmy_engine_swaps_total\{result="swapped"\} (\S+)$', text, re.MULTILINE) for text in texts
        )
        return sum(int(float(match[1])) for match in found if match)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("slots")
    toy = toy_gguf.write(folder / "toy.gguf")
    with ExitStack() as stack:
        pods = [stack.enter_context(_pod(folder / name, toy)) for name in ("s-0", "s-1")]
        ports = [port for pod in pods if (port := httpx.URL(pod.url).port)]
        objects = Objects(folder / "objects")
        served = [part for name in MODELS for part in model("s", name, ports=ports)]
        objects.write("s", [*tenant("s", token=TOKEN), *served])
        started = stack.enter_context(plane(folder, ["--directory", str(objects.folder)]))
        found = World(started, pods)
        until(lambda: found.ask("a").is_success, "the tenant is served", seconds=30)
        yield found


def _pod(folder: Path, toy: Path) -> AbstractContextManager[Runner]:
    folder.mkdir()
    catalogue = folder / "models.json"
    catalogue.write_text(json.dumps({"models": [{"name": name, "file": str(toy)} for name in MODELS]}))
    options = ["--models", str(catalogue), "--on-demand", "--admin-port", "0", "--queue", "64", "--pod", folder.name]
    return runner_of(Program("llama", FAKE, toy), folder / "run", *options)


def test_each_model_keeps_its_pod_while_there_are_enough(world: World) -> None:
    for name in ("a", "b"):
        assert world.ask(name).headers["x-shimmy-model"] == name
    before = world.swaps()
    pods: dict[str, set[str]] = {"a": set(), "b": set()}
    for _ in range(5):
        for name, found in pods.items():
            answer = world.ask(name)
            assert (answer.status_code, answer.headers["x-shimmy-model"]) == (200, name)
            found.add(answer.headers["x-shimmy-pod"])
    assert world.swaps() == before
    assert len(pods["a"]) == len(pods["b"]) == 1


def test_a_model_that_no_pod_has_takes_the_one_that_was_used_the_longest_ago(world: World) -> None:
    world.ask("a")
    world.ask("b")
    # Once more: what the router knows of the last request may be a moment old.
    kept = world.ask("b").headers["x-shimmy-pod"]
    before = world.swaps()
    assert world.ask("c").status_code == 200
    assert world.swaps() == before + 1
    assert world.ask("b").headers["x-shimmy-pod"] == kept
    assert world.swaps() == before + 1


def test_many_requests_for_a_model_that_is_not_loaded_make_one_change(world: World) -> None:
    for name in ("a", "b"):
        world.ask(name)
    before = world.swaps()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(world.ask, ["c"] * 8))
    assert [(a.status_code, a.headers["x-shimmy-model"]) for a in answers] == [(200, "c")] * 8
    assert world.swaps() == before + 1
