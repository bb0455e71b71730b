"""Models that are fetched by HTTP, from where the tenant allows and from nowhere else."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.e2e.pods import python

from devkit import models
from devkit.demo.fleet import EXAMPLES, NAMESPACE, TENANT, Fleet
from devkit.kubectl import ready_condition
from devkit.waiting import until

FILES = "files"
ALLOWED, CLOSED = 8000, 8001
_SERVE = f"""
import functools, http.server, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/models")
for port in ({ALLOWED}, {CLOSED}):
    server = http.server.ThreadingHTTPServer(("", port), handler)
    threading.Thread(target=server.serve_forever).start()
"""
_RECEIVE = "import pathlib, sys; pathlib.Path('/models/tiny.gguf').write_bytes(sys.stdin.buffer.read())"


@pytest.fixture(scope="module")
def address(fleet: Fleet) -> Iterator[str]:
    """Address of a file server outside of every tenant, with one model on two ports."""
    fleet.kubectl.run("create", "namespace", FILES)
    pod = next(d for d in yaml.safe_load_all((EXAMPLES / "volume.yaml").read_text()) if d["kind"] == "Pod")
    pod["metadata"] = {"name": "server", "namespace": FILES}
    pod["spec"]["containers"][0]["command"] = ["python3", "-c", _SERVE]
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


def _model(name: str, url: str) -> str:
    digest = hashlib.sha256(models.tiny().read_bytes()).hexdigest()
    manifest = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"backend": {"gguf": {"source": url, "sha256": digest}}, "storage": {"size": "100Mi"}},
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

    assert until(refused, "the source is unreachable", seconds=150, every=0.5)["status"] == "False"
