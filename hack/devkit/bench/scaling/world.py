"""A cluster with simulated pods, the operator, the metrics server, and a stand-in for the router's load."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.api import meters, objects, process
from tests.api.agents import identity
from tests.api.meters import OPERATOR, Meters
from tests.api.process import NAMESPACE

from devkit import cluster
from devkit.bench.scaling.patterns import Pattern
from devkit.bench.scaling.queueing import Queueing
from devkit.cluster import Cluster
from devkit.cluster.simulated import is_ready
from devkit.paths import REPOSITORY
from devkit.progress import say
from shimmy_api import names
from shimmy_api.load import DeploymentLoad, LoadReport
from shimmy_router.sources.scale import starting

TENANT: Final = "bench"
HOME: Final = names.tenant_namespace(TENANT)
MODEL: Final = "tiny"
_NODES: Final = 4
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{HOME}/deployments"
_PODS: Final = f"/api/v1/namespaces/{HOME}/pods"


@dataclass(frozen=True, slots=True)
class Seen:
    """A Deployment as the API server has it."""

    replicas: int
    ready: tuple[str, ...]
    """Names of its ready pods."""


class Operator:
    """A process that may be killed."""

    def __init__(self, running: Cluster, log: Path, *flags: str) -> None:
        self._start = partial(process.start, running, log, *flags)
        self._process = self._start()

    def kill(self) -> None:
        """End it without a word, and start another one."""
        self.end()
        self._process = self._start()

    def end(self) -> None:
        """End it for good."""
        self._process.kill()
        self._process.wait()


class World:
    """The cluster, and what the router would do in it."""

    def __init__(self, running: Cluster, meter: Meters, operator: Operator) -> None:
        self.cluster = running
        self._meter = meter
        self._operator = operator
        self._kubeconfig = str(running.credentials(*identity(NAMESPACE, "shimmy-router")))
        self._waking: dict[str, threading.Thread] = {}
        self.wake_seconds: list[float] = []
        """From a request for a model at zero until the API server was told to start a pod."""

    def add(self, pattern: Pattern, idle_seconds: int) -> None:
        """An instance for this kind of load."""
        autoscaling = {
            "minReplicas": pattern.min_replicas,
            "maxReplicas": pattern.max_replicas,
            "idleSeconds": idle_seconds,
        }
        objects.create(self.cluster, objects.instance(HOME, pattern.name, MODEL, autoscaling=autoscaling))

    def ready(self, pattern: Pattern) -> bool:
        """Whether its Deployment is there with the least number of pods."""
        found = self.seen([pattern]).get(pattern.name)
        return found is not None and len(found.ready) == pattern.min_replicas

    def seen(self, patterns: Sequence[Pattern]) -> dict[str, Seen]:
        """The Deployments of these, by the pattern's name."""
        ready: dict[str, list[str]] = {}
        for pod in self.cluster.client.json(_PODS)["items"]:
            if _serves(pod):
                ready.setdefault(pod["metadata"]["labels"][names.LABEL_INSTANCE_OF], []).append(pod["metadata"]["name"])
        deployments = {one["metadata"]["name"]: one for one in self.cluster.client.json(_DEPLOYMENTS)["items"]}
        return {
            pattern.name: Seen(found["spec"]["replicas"], tuple(sorted(ready.get(pattern.name, ()))))
            for pattern in patterns
            if (found := deployments.get(_deployment(pattern)))
        }

    def report(self, queues: dict[str, Queueing], seen: dict[str, Seen], patterns: Sequence[Pattern]) -> None:
        """Tell the metrics server what the router would see."""
        loads = [
            DeploymentLoad(
                namespace=HOME,
                deployment=_deployment(pattern),
                instance=pattern.name,
                model=MODEL,
                pods=queues[pattern.name].pods(seen[pattern.name].ready),
                held=queues[pattern.name].held(seen[pattern.name].ready),
                holding=True,
            )
            for pattern in patterns
        ]
        told = LoadReport(router="bench", loads=tuple(loads))
        for replica in range(len(self._meter.ports)):
            with contextlib.suppress(OSError):  # it has been killed
                self._meter.post(self._meter.routers_token, told, replica)

    def kills(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """What may be killed, and is started again at once."""
        return (
            ("operator", self._operator.kill),
            ("one metrics server", partial(self._meter.kill, 0)),
            ("both metrics servers", self._kill_meters),
        )

    def _kill_meters(self) -> None:
        for replica in range(len(self._meter.ports)):
            self._meter.kill(replica)

    def wake(self, pattern: Pattern) -> None:
        """Do what the agent does for the first request for a model at zero."""
        before = self._waking.get(pattern.name)
        if before is None or not before.is_alive():
            thread = threading.Thread(target=self._wake, args=(pattern,))
            self._waking[pattern.name] = thread
            thread.start()

    def _wake(self, pattern: Pattern) -> None:
        async def wake() -> None:
            async with starting(self._kubeconfig) as start:
                began = time.monotonic()
                if await start(HOME, _deployment(pattern)):
                    self.wake_seconds.append(time.monotonic() - began)

        asyncio.run(wake())


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Everything, until the context ends."""
    with ExitStack() as stack:
        say("starting a cluster with simulated nodes")
        running = cluster.start("cluster", f"bench-scaling-{os.getpid()}", owned=True, nodes=_NODES)
        stack.callback(running.stop)
        process.install(running)
        for part in ("router", "meter"):
            running.kubectl("apply", "--server-side", "-f", str(REPOSITORY / f"operator/shimmy_{part}/rbac.yaml"))
        meter = stack.enter_context(meters.meters(running, _made(folder / "meter")))
        operator = Operator(running, folder / "operator.log", *_meter_of(meter, folder))
        stack.callback(operator.end)
        objects.wait_reason(running, objects.create(running, objects.tenant(TENANT)), "Provisioned")
        objects.checked_model(running, HOME, MODEL)
        yield World(running, meter, operator)


def _meter_of(meter: Meters, folder: Path) -> list[str]:
    """How the operator finds the metrics server."""
    mount = _made(folder / "mount")
    (mount / "ca.crt").write_bytes(meter.authority.files.certificate.read_bytes())
    (mount / "token").write_text(meter.token(OPERATOR))
    return ["--meter-url", f"https://{meter.host}:{meter.ports[0]}", "--meter-folder", str(mount)]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _deployment(pattern: Pattern) -> str:
    return names.serving(pattern.name, MODEL)


def _serves(pod: dict[str, Any]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    is_engine = labels.get(names.LABEL_COMPONENT) == names.ENGINE
    return is_engine and "deletionTimestamp" not in pod["metadata"] and is_ready(pod)
