"""What one tenant can reach of another, and what an engine can do."""

from collections.abc import Iterator

import httpx
import pytest
from tests.e2e.pods import CONNECT, engines, python, refuses_to_write
from tests.e2e.tenants import status, write_tenant

from devkit.demo.fleet import EXAMPLES, MODEL, NAMESPACE, SYSTEM_NAMESPACE, Fleet
from devkit.waiting import until

STATUS = """
import sys, urllib.error, urllib.request
method, url = sys.argv[1:]
body = b"{}" if method == "POST" else None
request = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""

GUARDED = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/api/generate"),
    ("POST", "/internal/release"),
    ("GET", "/internal/journal"),
    ("GET", "/internal/load"),
    ("GET", "/metrics"),
)


def test_engines_run_without_rights(fleet: Fleet) -> None:
    (pod,) = engines(fleet)
    name = pod["metadata"]["name"]
    assert python(fleet, NAMESPACE, name, "import os; print(os.getuid())") == "65532"
    assert refuses_to_write(fleet, NAMESPACE, name)
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert python(fleet, NAMESPACE, name, f"import os; print(os.path.exists('{token}'))") == "False"


def test_an_engine_reaches_nothing(fleet: Fleet) -> None:
    (pod,) = engines(fleet)
    api = fleet.kubectl.get("service", "kubernetes", "default")
    assert api
    address = api["spec"]["clusterIP"]
    assert python(fleet, NAMESPACE, pod["metadata"]["name"], CONNECT, address, "443") == "closed"


@pytest.fixture(scope="module")
def stranger(fleet: Fleet, other: str) -> str:
    """A pod of the other tenant."""
    fleet.kubectl.apply((EXAMPLES / "volume.yaml").read_text().replace(NAMESPACE, other))
    fleet.kubectl.run("wait", "pod/model-loader", "-n", other, "--for=condition=Ready", "--timeout=60s")
    return "model-loader"


@pytest.fixture
def unwalled(fleet: Fleet, other: str) -> Iterator[None]:
    """No NetworkPolicy in either tenant's namespace, as if the network plugin ignored them."""
    scale = ("scale", "deployment/shimmy-operator", "-n", SYSTEM_NAMESPACE)
    fleet.kubectl.run(*scale, "--replicas=0")
    gone = ("wait", "pod", "-n", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/name=shimmy-operator", "--for=delete")
    fleet.kubectl.run(*gone, "--timeout=60s")
    for namespace in (NAMESPACE, other):
        fleet.kubectl.run("delete", "networkpolicy", "--all", "-n", namespace)
    yield
    fleet.kubectl.run(*scale, "--replicas=1")
    fleet.kubectl.run("rollout", "status", "deployment/shimmy-operator", "-n", SYSTEM_NAMESPACE, "--timeout=60s")


def test_another_tenant_reaches_neither_the_pod_nor_the_model(
    fleet: Fleet, url: str, other: str, stranger: str
) -> None:
    (pod,) = engines(fleet)
    assert python(fleet, other, stranger, CONNECT, pod["status"]["podIP"], "8080") == "closed"

    key = fleet.key("default", other)
    until(lambda: status(url, key) == httpx.codes.OK, "the router knows the key", seconds=10)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    response = httpx.post(f"{url}/chat/completions", json=body, headers={"x-api-key": key})
    assert response.json()["error"]["code"] == "model_not_found"


def test_an_engine_refuses_a_caller_without_its_tenants_token(fleet: Fleet) -> None:
    router = fleet.kubectl.list("pods", SYSTEM_NAMESPACE, "shimmy.dev/router=true")[0]["metadata"]["name"]
    (pod,) = engines(fleet)
    address = f"http://{pod['status']['podIP']}:8080/v1/chat/completions"
    assert python(fleet, SYSTEM_NAMESPACE, router, STATUS, "POST", address) == "403"


@pytest.mark.usefixtures("unwalled")
def test_another_tenant_gets_nothing_from_a_pod_that_it_reaches(fleet: Fleet, other: str, stranger: str) -> None:
    (pod,) = engines(fleet)
    address = pod["status"]["podIP"]
    until(lambda: python(fleet, other, stranger, CONNECT, address, "8080") == "open", "the walls are down", seconds=60)
    for method, path in GUARDED:
        assert python(fleet, other, stranger, STATUS, method, f"http://{address}:8080{path}") == "403"


def test_the_walls_come_back_with_the_operator(fleet: Fleet, other: str, stranger: str) -> None:
    (pod,) = engines(fleet)
    address = pod["status"]["podIP"]
    until(lambda: python(fleet, other, stranger, CONNECT, address, "8080") == "closed", "the walls", seconds=60)


def test_a_removed_key_lets_nobody_in(fleet: Fleet, url: str) -> None:
    namespace = write_tenant(fleet, "rotating", "first", "second")
    key = fleet.key("second", namespace)
    until(lambda: status(url, key) == httpx.codes.OK, "the key works", seconds=10)
    write_tenant(fleet, "rotating", "first")
    until(lambda: status(url, key) == httpx.codes.UNAUTHORIZED, "the key is revoked", seconds=5)


def test_a_deleted_tenant_keeps_its_data_and_loses_its_keys(fleet: Fleet, url: str) -> None:
    namespace = write_tenant(fleet, "leaving", "default")
    fleet.kubectl.apply((EXAMPLES / "volume.yaml").read_text().replace(NAMESPACE, namespace))
    key = fleet.key("default", namespace)
    until(lambda: status(url, key) == httpx.codes.OK, "the key works", seconds=10)
    fleet.kubectl.run("delete", "shimmytenant", "leaving", "--wait=true", "--timeout=30s")
    until(lambda: status(url, key) == httpx.codes.UNAUTHORIZED, "the tenant's key is revoked", seconds=20)
    assert fleet.kubectl.get("namespace", namespace)
    assert fleet.kubectl.get("persistentvolumeclaim", "models", namespace)
