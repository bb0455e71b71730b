"""What one tenant can reach of another, and what an engine can do."""

import httpx
import pytest
import yaml
from tests.e2e.pods import CONNECT, engines, python, refuses_to_write

from devkit.demo.fleet import EXAMPLES, MODEL, NAMESPACE, SYSTEM_NAMESPACE, Fleet
from devkit.waiting import until
from shimmy_api import names

STATUS = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], data=b"{}", headers={"content-type": "application/json"})
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


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
def other(fleet: Fleet) -> str:
    """A second tenant; its namespace."""
    return _create_tenant(fleet, "other", "first", "second")


def test_another_tenant_reaches_neither_the_pod_nor_the_model(fleet: Fleet, url: str, other: str) -> None:
    volume = (EXAMPLES / "volume.yaml").read_text().replace(NAMESPACE, other)
    fleet.kubectl.apply(volume)
    fleet.kubectl.run("wait", "pod/model-loader", "-n", other, "--for=condition=Ready", "--timeout=60s")
    (pod,) = engines(fleet)
    assert python(fleet, other, "model-loader", CONNECT, pod["status"]["podIP"], "8080") == "closed"

    key = fleet.key("first", other)
    until(lambda: _models(url, key) == httpx.codes.OK, "the router knows the key", seconds=10)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    response = httpx.post(f"{url}/chat/completions", json=body, headers={"x-api-key": key})
    assert response.json()["error"]["code"] == "model_not_found"


def test_an_engine_refuses_a_caller_without_its_tenants_token(fleet: Fleet) -> None:
    router = fleet.kubectl.list("pods", SYSTEM_NAMESPACE, "shimmy.dev/router=true")[0]["metadata"]["name"]
    (pod,) = engines(fleet)
    address = f"http://{pod['status']['podIP']}:8080/v1/chat/completions"
    assert python(fleet, SYSTEM_NAMESPACE, router, STATUS, address) == "403"


def test_a_removed_key_lets_nobody_in(fleet: Fleet, url: str, other: str) -> None:
    key = fleet.key("second", other)
    until(lambda: _models(url, key) == httpx.codes.OK, "the key works", seconds=10)
    fleet.kubectl.apply(yaml.safe_dump(_tenant("other", "first")))
    until(lambda: _models(url, key) == httpx.codes.UNAUTHORIZED, "the key is revoked", seconds=5)


def test_a_deleted_tenant_keeps_its_data_and_loses_its_keys(fleet: Fleet, url: str) -> None:
    namespace = _create_tenant(fleet, "leaving", "default")
    fleet.kubectl.apply((EXAMPLES / "volume.yaml").read_text().replace(NAMESPACE, namespace))
    key = fleet.key("default", namespace)
    until(lambda: _models(url, key) == httpx.codes.OK, "the key works", seconds=10)
    fleet.kubectl.run("delete", "shimmytenant", "leaving", "--wait=true", "--timeout=30s")
    until(lambda: _models(url, key) == httpx.codes.UNAUTHORIZED, "the tenant's key is revoked", seconds=20)
    assert fleet.kubectl.get("namespace", namespace)
    assert fleet.kubectl.get("persistentvolumeclaim", "models", namespace)


def _create_tenant(fleet: Fleet, name: str, *keys: str) -> str:
    fleet.kubectl.apply(yaml.safe_dump(_tenant(name, *keys)))
    fleet.kubectl.wait_ready("shimmytenant", name)
    return names.tenant_namespace(name)


def _models(url: str, key: str) -> int:
    return httpx.get(f"{url}/models", headers={"x-api-key": key}).status_code


def _tenant(name: str, *keys: str) -> dict[str, object]:
    return {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyTenant",
        "metadata": {"name": name},
        "spec": {"keys": [{"name": key} for key in keys]},
    }
