"""Routers that are replaced one after another, as a rollout or a drained node does it."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.contract.running import TOKEN, Runner
from tests.dataplane.balancer import balancer
from tests.dataplane.plane import HOST, START, Objects, Plane, chat, key_of, model, plane, tenant
from tests.dataplane.rollout import replace

from devkit.waiting import until

PATH = "/v1/chat/completions"
WORKERS = 4


@pytest.fixture
def source(tmp_path: Path, engine: Runner) -> list[str]:
    """The agents' flags."""
    objects = Objects(tmp_path / "objects")
    port = httpx.URL(engine.url).port
    assert port
    objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", ports=[port])])
    return ["--directory", str(objects.folder)]


@dataclass
class Load:
    """What clients got that keep their connections open."""

    statuses: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ask(self, client: httpx.Client) -> None:
        try:
            self.statuses.append(client.post(PATH, json=chat()).status_code)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))


@contextmanager
def load(url: str) -> Iterator[Load]:
    """Some clients that ask all the time, and as many that pause longer than a leaving router waits."""
    found, stopped = Load(), threading.Event()

    def work(pause: float) -> None:
        with _client(url) as client:
            while not stopped.is_set():
                found.ask(client)
                stopped.wait(pause)

    with ThreadPoolExecutor(2 * WORKERS) as pool:
        workers = [pool.submit(work, pause) for pause in [0.0] * WORKERS + [2.0] * WORKERS]
        try:
            yield found
        finally:
            stopped.set()
        for worker in workers:
            worker.result()


def test_no_request_fails_while_both_routers_are_replaced(tmp_path: Path, source: list[str]) -> None:
    with ExitStack() as stack:
        start = _starter(stack, tmp_path, source)
        routers = [start("a"), start("b")]
        service = stack.enter_context(balancer([router.port for router in routers]))
        with load(service.url) as found:
            until(lambda: len(found.statuses) > WORKERS, "requests", seconds=START)
            for old, name in zip(routers, ("c", "d"), strict=True):
                replace(old, start(name), service)
            replaced = len(found.statuses)
            until(lambda: len(found.statuses) > replaced + WORKERS, "requests after it", seconds=START)
    assert (found.failures, set(found.statuses)) == ([], {200})


def test_a_leaving_router_closes_idle_connections_before_it_ends(tmp_path: Path, source: list[str]) -> None:
    with plane(tmp_path, source) as router, socket.create_connection((HOST, router.port)) as idle:
        idle.settimeout(20)
        idle.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        router.drain()
        assert router.envoy.poll() is None
        assert idle.recv(4096) == b""


def test_a_leaving_router_finishes_a_stream_that_runs(tmp_path: Path, source: list[str]) -> None:
    with plane(tmp_path, source) as router, router.client(key_of("a")) as client:
        until(lambda: client.post(PATH, json=chat()).is_success, "tenant a is served", seconds=START)
        with client.stream("POST", PATH, json=chat("word " * 400, stream=True)) as response:
            chunks = response.iter_raw()
            first = next(chunks)
            leaving = threading.Thread(target=router.drain)
            leaving.start()
            until(lambda: not router.ready(), "the router is not ready", seconds=START)
            whole = first + b"".join(chunks)
            leaving.join(START)
    assert whole.rstrip().endswith(b"data: [DONE]")


def _starter(stack: ExitStack, folder: Path, source: list[str]) -> Callable[[str], Plane]:
    def start(name: str) -> Plane:
        (folder / name).mkdir()
        router = stack.enter_context(plane(folder / name, source))
        with _client(router.url) as client:
            until(lambda: client.post(PATH, json=chat()).is_success, "tenant a is served", seconds=START)
        return router

    return start


def _client(url: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {key_of('a')}"}
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
