"""Which pod of several gets a request. Every router follows how occupied the pods are; the pods are real runners."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, Program, Runner, runner
from tests.dataplane.plane import HOST, Objects, Plane, chat, key_of, model, plane, tenant
from tests.fakes.shimmy import toy_gguf

from devkit.waiting import until

PATH = "/v1/chat/completions"
SLOW = {"SHIMMY_FAKE_TOKENS_PER_SECOND": "20", "SHIMMY_FAKE_ANSWER_TOKENS": "4000"}
LONG = chat("go on", stream=True, max_tokens=1500)
SHORT = chat(max_tokens=1)
SOON = 60.0


def hosts(router: Plane) -> dict[int, str]:
    """Port and status of each pod that this Envoy has, as it was told."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(router.run / "admin.sock"))) as admin:
        clusters = admin.get("http://envoy/clusters?format=json").json()["cluster_statuses"]
    found = {}
    for host in (host for one in clusters if one["name"] == "a/m" for host in one.get("host_statuses", ())):
        found[host["address"]["socket_address"]["port_value"]] = host["health_status"]["eds_health_status"]
    return found


def port(pod: Runner) -> int:
    found = httpx.URL(pod.url).port
    assert found
    return found


def pods_of(router: Plane, number: int) -> list[str]:
    """Which pods answer so many requests, one after the other."""
    with router.client(key_of("a")) as client:
        answers = [client.post(PATH, json=SHORT) for _ in range(number)]
    assert [answer.status_code for answer in answers] == [200] * number
    return [answer.headers["x-shimmy-pod"] for answer in answers]


class Held:
    """A request that keeps a pod busy until the context ends."""

    def __init__(self, router: Plane) -> None:
        self._stack = ExitStack()
        client = self._stack.enter_context(router.client(key_of("a")))
        response = self._stack.enter_context(client.stream("POST", PATH, json=LONG))
        assert response.is_success
        self._chunks = response.iter_raw()
        next(self._chunks)
        self.pod = response.headers["x-shimmy-pod"]

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._stack.close()


@dataclass(frozen=True)
class Fleet:
    folder: Path
    objects: Objects
    pods: dict[str, Runner]

    def serve(self, *pods: str) -> None:
        """Write objects in which model m has these pods."""
        ports = [port(self.pods[name]) for name in pods]
        self.objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", ports=ports)])

    def waiting(self) -> str:
        """Name of a pod at which a request waits; empty where none does."""
        return next((name for name, pod in self.pods.items() if pod.metric("shimmy_engine_requests_queued")), "")

    def router(self, stack: ExitStack, name: str, pods: int) -> Plane:
        """A router that knows so many pods."""
        folder = self.folder / name
        folder.mkdir()
        started = stack.enter_context(plane(folder, ["--directory", str(self.objects.folder), "--node", name]))
        until(lambda: len(hosts(started)) == pods, f"{pods} pods in {name}", seconds=SOON)
        return started


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    slow = Program("llama", FAKE, toy_gguf.write(tmp_path / "toy.gguf"), SLOW)
    with ExitStack() as stack:
        pods = {
            name: stack.enter_context(runner(slow, tmp_path / name, "--pod", name, ready=False)) for name in ("x", "y")
        }
        for pod in pods.values():
            until(pod.ready, "a pod", seconds=SOON)
        yield Fleet(tmp_path, Objects(tmp_path / "objects"), pods)


def test_a_busy_pod_is_avoided_by_routers_that_have_not_sent_it_anything(fleet: Fleet) -> None:
    fleet.serve("x", "y")
    with ExitStack() as stack:
        one, other = (fleet.router(stack, name, 2) for name in ("one", "other"))
        with Held(one) as held:
            free = {"x": "y", "y": "x"}[held.pod]
            busy = port(fleet.pods[held.pod])
            for _ in range(8):
                until(lambda: hosts(other)[busy] == "DEGRADED", "the other router to hear of it", seconds=SOON)
                assert pods_of(other, 1) == [free]
        until(lambda: set(hosts(other).values()) == {"HEALTHY"}, "both pods to be free", seconds=SOON)


def test_a_new_pod_takes_load_at_once(fleet: Fleet) -> None:
    fleet.serve("x")
    with ExitStack() as stack:
        router = fleet.router(stack, "one", 1)
        with Held(router) as held:
            assert held.pod == "x"
            fleet.serve("x", "y")
            until(lambda: len(hosts(router)) == 2, "the new pod", seconds=SOON)
            assert pods_of(router, 6) == ["y"] * 6


def test_a_pod_that_dies_is_left_at_once_though_it_is_still_listed(fleet: Fleet) -> None:
    fleet.serve("x", "y")
    with ExitStack() as stack:
        router = fleet.router(stack, "one", 2)
        pods_of(router, 4)
        fleet.pods["x"].process.kill()
        assert pods_of(router, 20)[-10:] == ["y"] * 10


def test_a_pod_that_drains_is_avoided_before_it_refuses(fleet: Fleet) -> None:
    fleet.serve("x", "y")
    with ExitStack() as stack:
        router = fleet.router(stack, "one", 2)
        pods_of(router, 2)
        fleet.pods["x"].terminate()
        until(lambda: hosts(router)[port(fleet.pods["x"])] == "DEGRADED", "the agent to hear of it", seconds=SOON)
        assert pods_of(router, 6) == ["y"] * 6


def test_a_request_that_waits_goes_to_a_pod_that_becomes_idle(fleet: Fleet) -> None:
    fleet.serve("x", "y")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        router = fleet.router(stack, "one", 2)
        held = {one.pod: one for one in (stack.enter_context(Held(router)) for _ in range(2))}
        assert held.keys() == {"x", "y"}
        waiting = pool.submit(pods_of, router, 1)
        queue = until(fleet.waiting, "a request that waits", seconds=SOON)
        idle = {"x": "y", "y": "x"}[queue]
        held[idle].close()
        assert waiting.result(SOON) == [idle]
        assert fleet.pods[queue].metric("shimmy_engine_requests_in_flight") == 1
        assert 'shimmy_router_moves_total{model="m",tenant="a"} 1.0' in router.metrics()
        retries = 'shimmy_router_retries_total{model="m",tenant="a"} 1.0'
        until(lambda: retries in router.metrics(), "the second try to be counted", seconds=SOON)


def test_of_idle_pods_a_router_takes_those_in_its_zone(fleet: Fleet) -> None:
    objects = model("a", "m", ports=[port(fleet.pods[name]) for name in ("x", "y")])
    for piece, zone in zip((each for each in objects if each["kind"] == "EndpointSlice"), ("zx", "zy"), strict=True):
        piece["endpoints"][0]["zone"] = zone
    fleet.objects.write("a", [*tenant("a", token=TOKEN), *objects])
    fleet.objects.write("routers", [routers_slice({"one": "zx", "other": "zy"})])
    with ExitStack() as stack:
        one, other = (fleet.router(stack, name, 2) for name in ("one", "other"))
        for router, near in ((one, "x"), (other, "y")):
            preferred = {port(pod): "HEALTHY" if name == near else "DEGRADED" for name, pod in fleet.pods.items()}
            for _ in range(4):
                until(lambda r=router, p=preferred: hosts(r) == p, "the zone to count", seconds=SOON)  # type: ignore[misc]
                assert pods_of(router, 1) == [near]
        with Held(one) as held:
            assert held.pod == "x"
            until(lambda: hosts(one)[port(fleet.pods["y"])] == "HEALTHY", "an idle pod elsewhere", seconds=SOON)
            assert pods_of(one, 1) == ["y"]


def routers_slice(zones: Mapping[str, str]) -> dict[str, Any]:
    """The EndpointSlice of the routers' Service, with the zone of each. Nothing listens on its port: 9, discard."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "shimmy-router-metrics",
            "namespace": "shimmy-system",
            "labels": {"kubernetes.io/service-name": "shimmy-router-metrics"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "metrics", "port": 9}],
        "endpoints": [
            {"addresses": [HOST], "targetRef": {"kind": "Pod", "name": name}, "zone": zone}
            for name, zone in zones.items()
        ],
    }
