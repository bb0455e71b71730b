"""Models that are fetched by HTTP, from where the tenant allows and from nowhere else."""

import hashlib
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.e2e import file_server
from tests.e2e.pods import python

from devkit import models
from devkit.demo.fleet import EXAMPLES, NAMESPACE, TENANT, Fleet
from devkit.kubectl import KubectlError, ready_condition
from devkit.waiting import until
from shimmy_api import names

FILES = "files"
ALLOWED, CLOSED = file_server.PORTS
_RECEIVE = "import pathlib, sys; pathlib.Path('/models/tiny.gguf').write_bytes(sys.stdin.buffer.read())"


@pytest.fixture(scope="module")
def address(fleet: Fleet) -> Iterator[str]:
    """Address of a file server outside of every tenant, with one model on two ports."""
    fleet.kubectl.run("create", "namespace", FILES)
    pod = next(d for d in yaml.safe_load_all((EXAMPLES / "volume.yaml").read_text()) if d["kind"] == "Pod")
    pod["metadata"] = {"name": "server", "namespace": FILES}
    pod["spec"]["containers"][0]["command"] = ["python3", "-c", inspect.getsource(file_server)]
    pod["spec"]["volumes"] = [{"name": "models", "emptyDir": {}}]
    fleet.kubectl.apply(yaml.safe_dump(pod))
    fleet.kubectl.run("wait", "pod/server", "-n", FILES, "--for=condition=Ready", "--timeout=60s")
    with models.tiny().open("rb") as file:
        fleet.kubectl.run("exec", "-i", "-n", FILES, "server", "--", "python3", "-c", _RECEIVE, file=file)
    yield python(fleet, FILES, "server", "import socket; print(socket.gethostbyname(socket.gethostname()))")
    fleet.kubectl.run("delete", "namespace", FILES, "--wait=false")


@pytest.fixture(scope="module", autouse=True)
def _allow(fleet: Fleet, address: str) -> Iterator[None]:
    """The demo's tenant may fetch from the file server's first port."""
    tenant = yaml.safe_load((EXAMPLES / "tenant.yaml").read_text())
    tenant["spec"]["fetch"] = {"egress": [{"cidr": f"{address}/32", "ports": [ALLOWED]}]}
    fleet.kubectl.apply(yaml.safe_dump(tenant))
    fleet.kubectl.wait_ready("shimmytenant", TENANT)
    yield
    fleet.apply_example("tenant.yaml")


def _model(name: str, url: str, **more: str) -> str:
    digest = hashlib.sha256(models.tiny().read_bytes()).hexdigest()
    manifest = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"backend": {"gguf": {"source": url, "sha256": digest, **more}}, "storage": {"size": "100Mi"}},
    }
    return yaml.safe_dump(manifest)


def test_a_model_is_fetched_from_where_the_tenant_allows(fleet: Fleet, address: str) -> None:
    fleet.kubectl.apply(_model("fetched", f"http://{address}:{ALLOWED}/tiny.gguf"))
    artifact = fleet.kubectl.wait_ready("shimmymodel", "fetched", NAMESPACE, seconds=90)["status"]["artifact"]
    assert artifact["sizeBytes"] == models.tiny().stat().st_size
    assert artifact["claimName"] == "shimmy-model-fetched"


def test_a_model_is_not_fetched_from_elsewhere(fleet: Fleet, address: str) -> None:
    fleet.kubectl.apply(_model("elsewhere", f"http://{address}:{CLOSED}/tiny.gguf"))

    def refused() -> dict[str, Any] | None:
        condition = ready_condition(fleet.kubectl.get("shimmymodel", "elsewhere", NAMESPACE))
        return condition if condition.get("reason") == "SourceUnreachable" else None

    condition = until(refused, "the source is unreachable", seconds=200, every=0.5)
    assert condition["status"] == "False"
    assert f"open TCP port {CLOSED}" in condition["message"]


def test_a_model_behind_a_token_waits_for_its_secret(fleet: Fleet, address: str) -> None:
    url = f"http://{address}:{ALLOWED}/private/tiny.gguf"
    fleet.kubectl.apply(_model("private", url, credentialsSecretName="files"))

    def missing() -> bool:
        condition = ready_condition(fleet.kubectl.get("shimmymodel", "private", NAMESPACE))
        return "CredentialsMissing" in str(condition.get("message"))

    until(missing, "the status says that the Secret is missing", seconds=60, every=0.5)
    token = f"--from-literal=token={file_server.TOKEN}"
    fleet.kubectl.run("create", "secret", "generic", "files", "-n", NAMESPACE, token)
    fleet.kubectl.wait_ready("shimmymodel", "private", NAMESPACE, seconds=90)


def test_a_fetch_whose_pod_is_lost_goes_on_where_it_was(fleet: Fleet, address: str) -> None:
    fleet.kubectl.apply(_model("slow", f"http://{address}:{ALLOWED}/slow/tiny.gguf"))
    first = until(lambda: _fetch_pods(fleet, "slow"), "a fetch pod", seconds=60, every=0.5)[0]
    until(lambda: _half(fleet, first), "half of the file is there", seconds=60, every=0.5)
    fleet.kubectl.run("delete", "pod", first, "-n", NAMESPACE)
    python(fleet, FILES, "server", "import urllib.request; urllib.request.urlopen('http://localhost:8000/go')")
    fleet.kubectl.wait_ready("shimmymodel", "slow", NAMESPACE, seconds=90)
    (second,) = _fetch_pods(fleet, "slow")
    assert second != first
    assert "going on: 3 of 5 MB are there" in fleet.kubectl.run("logs", second, "-n", NAMESPACE)


def _fetch_pods(fleet: Fleet, model: str) -> list[str]:
    selector = f"{names.LABEL_COMPONENT}={names.FETCH},{names.LABEL_MODEL}={model}"
    pods = fleet.kubectl.list("pods", NAMESPACE, selector)
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _half(fleet: Fleet, pod: str) -> bool:
    """Whether the fetch in a pod has noted that half of the file came."""
    try:
        note = python(fleet, NAMESPACE, pod, "print(open('/models/.tiny.gguf.partial.json').read())")
    except KubectlError:
        return False
    size = models.tiny().stat().st_size
    return bool(json.loads(note)["missing"] == [[size // 2, size]])
