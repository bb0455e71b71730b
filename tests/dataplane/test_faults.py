"""Agent and API server away while requests flow; the objects come from a real API server."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml
from tests.contract.running import TOKEN
from tests.dataplane.plane import Plane, chat, key_of, model, plane, tenant
from tests.dataplane.pod_host import PORT, pod_host

from devkit.cluster import Cluster
from devkit.paths import REPOSITORY
from devkit.testing import api_server as api_server
from devkit.waiting import until

PATH = "/v1/chat/completions"
REQUESTS = 1000
WORKERS = 4
KILLS = 10
OUTAGE_SECONDS = float(os.environ.get("SHIMMY_TEST_OUTAGE_SECONDS", "5"))
"""How long the API server is away."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Address of a host with a runner."""
    with pod_host(tmp_path / "host") as found:
        yield found


@pytest.fixture
def router(api_server: Cluster, address: str, tmp_path: Path) -> Iterator[Plane]:
    """A router that serves tenant a from the API server."""
    api_server.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
    crds = [f"crd/{path.stem}" for path in (REPOSITORY / "crds").glob("*.yaml")]
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    for namespace in ("shimmy-system", "shimmy-a"):
        api_server.kubectl("create", "namespace", namespace)
    _apply(api_server, [*tenant("a", token=TOKEN), *model("a", "m", host=address, ports=[PORT])])
    source = ["--kubeconfig", str(api_server.kubeconfig), "--namespace", "shimmy-system"]
    with plane(tmp_path, source) as started:
        until(lambda: _status(started) == httpx.codes.OK, "tenant a is served", seconds=20)
        yield started


def test_no_request_fails_while_agent_and_api_server_are_away(api_server: Cluster, router: Plane) -> None:
    finished = threading.Event()

    def work(_: int) -> list[int]:
        statuses: list[int] = []
        with router.client(key_of("a")) as client:
            while len(statuses) < REQUESTS // WORKERS or not finished.is_set():
                statuses.append(client.post(PATH, json=chat()).status_code)
        return statuses

    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work, number) for number in range(WORKERS)]
        try:
            for number in range(KILLS):
                _restart_agent(router)
                if number == KILLS // 2:
                    api_server.stop_apiserver(at_once=True)
            # The server comes back only after agents have started without it.
            finished.wait(OUTAGE_SECONDS)
            api_server.start_apiserver()
        finally:
            finished.set()
        statuses = [status for worker in workers for status in worker.result()]
    assert len(statuses) >= REQUESTS
    assert [status for status in statuses if status != httpx.codes.OK] == []

    _apply(api_server, model("a", "later"))
    until(lambda: "later" in _models(router), "a change after the API server is back", seconds=20)


def _restart_agent(router: Plane) -> None:
    router.kill_agent()
    router.start_agent()
    until(router.metrics, "the restarted agent", seconds=20)


def _apply(cluster: Cluster, manifests: list[dict[str, object]]) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", standard_input=yaml.safe_dump_all(manifests))


def _status(router: Plane) -> int:
    with router.client(key_of("a")) as client:
        return client.post(PATH, json=chat()).status_code


def _models(router: Plane) -> list[str]:
    with router.client(key_of("a")) as client:
        return [entry["id"] for entry in client.get("/v1/models").json()["data"]]
