"""The parts that die: two pods of one model, and two routers behind one Service."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.contract.running import FAKE, TOKEN, Program, runner
from tests.dataplane.balancer import Balancer, balancer
from tests.dataplane.plane import START, Objects, Plane, chat, key_of, model, plane, tenant
from tests.fakes.shimmy import toy_gguf

from devkit.bench.faults.load import PATH
from devkit.ports import free
from devkit.waiting import until

TENANTS: Final = ("plain", "limited")
"""Each request of the second is counted by the agent."""
_LIMITS: Final = {"requestsPerMinute": 1_000_000, "concurrent": 1000}
_SPEED: Final = {"SHIMMY_FAKE_TOKENS_PER_SECOND": "40"}


class Pod:
    """A runner with a fake Shimmy, which starts again with its address and its folder, as a container does."""

    def __init__(self, folder: Path, toy: Path) -> None:
        self.name = folder.name
        self._folder = folder
        self._program = Program("llama", FAKE, toy, _SPEED)
        (self.port,) = free(1)
        self._running = ExitStack()

    def start(self) -> None:
        """Start the runner; it is not ready yet."""
        options = ("--port", str(self.port), "--pod", self.name, "--queue", "64")
        self._runner = self._running.enter_context(runner(self._program, self._folder, *options, ready=False))

    def ready(self) -> bool:
        """As its probe says."""
        return self._runner.ready()

    def kill(self) -> None:
        """Kill both processes, as the end of a container's first process does."""
        shimmy = self._runner.engine_pid()
        self._runner.process.kill()
        with suppress(ProcessLookupError):  # it may have ended with the runner
            os.kill(shimmy, signal.SIGKILL)
        self._runner.process.wait()
        self.stop()

    def stop(self) -> None:
        """End it, if it runs."""
        self._running.close()


class World:
    """All parts."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._started = 0
        toy = toy_gguf.write(folder / "toy.gguf")
        self.pods = [Pod(folder / name, toy) for name in ("pod-0", "pod-1")]
        for pod in self.pods:
            stack.callback(pod.stop)
            pod.start()
        for pod in self.pods:
            until(pod.ready, pod.name, seconds=START)
        self.objects = Objects(folder / "objects")
        self._write_objects()
        self.routers = [self.start_router() for _ in range(2)]
        self.service: Balancer = stack.enter_context(balancer([router.port for router in self.routers]))

    @property
    def keys(self) -> list[str]:
        """One of each tenant."""
        return [key_of(name) for name in TENANTS]

    def start_router(self) -> Plane:
        """One more router, which answers."""
        self._started += 1
        folder = self._folder / f"router-{self._started}"
        folder.mkdir()
        router = self._stack.enter_context(plane(folder, ["--directory", str(self.objects.folder)]))
        until(lambda: pod_of(router), folder.name, seconds=START)
        return router

    def _write_objects(self) -> None:
        ports = [pod.port for pod in self.pods]
        for name, limits in zip(TENANTS, ({}, _LIMITS), strict=True):
            self.objects.write(name, [*tenant(name, token=TOKEN, limits=limits), *model(name, "m", ports=ports)])


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """All parts, which answer."""
    with ExitStack() as stack:
        yield World(folder, stack)


def pod_of(router: Plane) -> str:
    """Name of the pod that answers a request through this router; empty where none does."""
    with router.client(key_of(TENANTS[0])) as client:
        response = client.post(PATH, json=chat(max_tokens=1))
    return response.headers["x-shimmy-pod"] if response.is_success else ""
