"""`hack/bench wake-many`: many models at zero, and requests for all of them at once.

Real: API server, Envoy and agent. A stand-in for controllers and kubelet gives a Deployment that is told to have a pod
an endpoint after some seconds; the pods are stubs with the runner's own gate and load stream.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from tests.api import objects, process
from tests.api.agents import identity
from tests.api.meters import address
from tests.api.process import NAMESPACE
from tests.dataplane.plane import key_of, plane, tenant

from devkit import cluster
from devkit.cluster import Cluster
from devkit.paths import REPOSITORY
from devkit.ports import free
from devkit.progress import say
from devkit.waiting import until
from shimmy_api import names

TENANT: Final = "bench"
HOME: Final = names.tenant_namespace(TENANT)
_PER_INSTANCE: Final = 50
_GOAL_SECONDS: Final = 5.0
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{HOME}/deployments"
_SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices"
_TOKEN: Final = "bench-engine-token-00"  # noqa: S105 - of no engine
_START_SECONDS: Final = 90
_LOOK_SECONDS: Final = 0.05


@dataclass
class Kubelet:
    """Notes when each Deployment is told to have a pod, and gives it one some seconds later."""

    cluster: Cluster
    pods: dict[str, tuple[str, int]]
    """Address and port for each model."""
    start_seconds: float
    told: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until it is ended."""
        while not self.ended.wait(_LOOK_SECONDS):
            now = time.monotonic()
            for found in self.cluster.client.json(_DEPLOYMENTS)["items"]:
                if found["spec"]["replicas"]:
                    self.told.setdefault(found["metadata"]["labels"][names.LABEL_MODEL], now)
            for model, since in self.told.items():
                if model not in self.ready and now - since >= self.start_seconds:
                    self.cluster.client.json(_SLICES, "POST", _slice(model, *self.pods[model]))
                    self.ready[model] = time.monotonic()


def run(models: int, requests: int, start_seconds: float) -> bool:
    """Measure and print; whether every request was answered and all models were told within the goal's time."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        say(f"{models} models at zero, {requests} requests at once")
        running = cluster.start("api", f"bench-wake-{os.getpid()}", owned=True)
        stack.callback(running.stop)
        found = [f"m{number}" for number in range(models)]
        pods = stack.enter_context(_pods(found))
        _write(running, found)
        config = str(running.credentials(*identity(NAMESPACE, "shimmy-router")))
        router = stack.enter_context(plane(folder, ["--kubeconfig", config, "--namespace", NAMESPACE]))
        kubelet = Kubelet(running, pods, start_seconds)
        stack.enter_context(_running(kubelet))
        with router.client(key_of(TENANT)) as client:
            known = lambda: client.get("/v1/models").text.count("Asleep") == models  # noqa: E731
            until(known, "the router knows all models", seconds=_START_SECONDS)
        began = time.monotonic()
        statuses, seconds = asyncio.run(_ask(router.url, found, requests))
        return _report(kubelet, statuses, seconds, began)


def _report(kubelet: Kubelet, statuses: Sequence[int], seconds: Sequence[float], began: float) -> bool:
    lost = sum(status != 200 for status in statuses)
    told = max(kubelet.told.values()) - began
    first = statistics.median(sorted(kubelet.told.values())) - began
    last = max(kubelet.ready.values()) - began
    print(f"requests answered           {len(statuses) - lost:8} of {len(statuses)}")
    for status, count in sorted(Counter(statuses).items()):
        print(f"  status {status}              {count:8}")
    print(f"models told to start, half  {first:8.2f} s after the first request")
    print(f"models told to start, all   {told:8.2f} s (goal {_GOAL_SECONDS:g} s)")
    print(f"last pod ready              {last:8.2f} s")
    print(f"last answer                 {max(seconds):8.2f} s, median {statistics.median(seconds):.2f} s")
    return lost == 0 and told <= _GOAL_SECONDS


async def _ask(url: str, models: Sequence[str], requests: int) -> tuple[list[int], list[float]]:
    """All at once; statuses and seconds."""
    headers = {"authorization": f"Bearer {key_of(TENANT)}"}
    timeout = aiohttp.ClientTimeout(total=300)
    connector = aiohttp.TCPConnector(limit=0)

    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:

        async def ask(number: int) -> tuple[int, float]:
            body = {"model": models[number % len(models)], "seconds": 0.05}
            began = time.monotonic()
            async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                await answer.read()
                return answer.status, time.monotonic() - began

        done = await asyncio.gather(*(ask(number) for number in range(requests)))
    return [status for status, _ in done], [seconds for _, seconds in done]


@contextmanager
def _running(kubelet: Kubelet) -> Iterator[None]:
    thread = threading.Thread(target=kubelet.run)
    thread.start()
    try:
        yield
    finally:
        kubelet.ended.set()
        thread.join()


@contextmanager
def _pods(models: Sequence[str]) -> Iterator[dict[str, tuple[str, int]]]:
    """A stub for each model, on an address that an EndpointSlice may name."""
    host = address()
    ports = free(len(models), host)
    command = [sys.executable, "-m", "devkit.bench.balance_pods", "--host", host, *map(str, ports)]
    process_ = subprocess.Popen(command, env=os.environ)
    try:
        yield {model: (host, port) for model, port in zip(models, ports, strict=True)}
    finally:
        process_.terminate()
        process_.wait(20)


def _write(running: Cluster, models: Sequence[str]) -> None:
    """A tenant as the operator would have made it, with all models at zero."""
    process.install(running)
    for part in ("router/rbac.yaml", "operator/rbac.yaml"):
        running.kubectl("apply", "--server-side", "-f", str(REPOSITORY / f"operator/shimmy_{part}"))
    running.client.json("/api/v1/namespaces", "POST", {"metadata": {"name": HOME}})
    for manifest in tenant(TENANT, token=_TOKEN):
        objects.create(running, manifest)
    objects.create(running, _binding())
    for start in range(0, len(models), _PER_INSTANCE):
        group, instance = models[start : start + _PER_INSTANCE], f"i{start}"
        for model in group:
            objects.create(running, objects.model(HOME, model, f"pvc://models/{model}.gguf"))
            objects.create(running, _deployment(instance, model))
        scaling = {"minReplicas": 0, "maxReplicas": len(group)}
        objects.create(running, objects.instance(HOME, instance, *group, autoscaling=scaling))


def _binding() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": names.ROUTER_SCALE, "namespace": HOME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.ROUTER_SCALE},
        "subjects": [{"kind": "ServiceAccount", "name": names.ROUTER_ACCOUNT, "namespace": NAMESPACE}],
    }


def _deployment(instance: str, model: str) -> dict[str, Any]:
    labels = names.selector_labels(instance, model)
    spec = {"containers": [{"name": "engine", "image": "engine"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.serving(instance, model), "namespace": HOME, "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _slice(model: str, host: str, port: int) -> dict[str, Any]:
    target = {"kind": "Pod", "name": f"{model}-0", "namespace": HOME}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": model, "namespace": HOME, "labels": {names.LABEL_MODEL: model}},
        "addressType": "IPv4",
        "ports": [{"name": names.ENGINE_PORT_NAME, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}, "targetRef": target}],
    }
