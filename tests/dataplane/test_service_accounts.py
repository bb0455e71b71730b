"""Tokens of ServiceAccounts, which a real API server signs, and whose keys the agent reads from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.contract.running import TOKEN
from tests.dataplane.plane import Plane, key_of, plane, tenant

from devkit.cluster import Cluster
from devkit.paths import REPOSITORY
from devkit.testing import api_server as api_server
from devkit.waiting import until

AUDIENCE = "shimmy"
NAMESPACES = ("shimmy-system", "shop")
"""The first is there already where another test has used the API server."""
WEB = "system:serviceaccount:shop:web"


@pytest.fixture
def router(api_server: Cluster, tmp_path: Path) -> Iterator[Plane]:
    """A router whose tenant a accepts the tokens of one account."""
    api_server.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
    crds = [f"crd/{path.stem}" for path in (REPOSITORY / "crds").glob("*.yaml")]
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
    api_server.kubectl("apply", "--server-side", "-f", "-", standard_input=yaml.safe_dump_all(namespaces))
    for account in ("web", "stranger"):
        api_server.kubectl("create", "serviceaccount", account, "-n", "shop")
    entry = {"name": "pods", "audience": AUDIENCE, "values": [WEB]}
    manifests = yaml.safe_dump_all(tenant("a", token=TOKEN, tokens=[entry]))
    api_server.kubectl("apply", "--server-side", "-f", "-", standard_input=manifests)
    with plane(tmp_path, ["--kubeconfig", str(api_server.kubeconfig), "--namespace", "shimmy-system"]) as started:
        until(lambda: _status(started, key_of("a")) == 200, "tenant a is served", seconds=20)
        yield started


def test_a_token_needs_the_right_account_and_the_right_audience_alone(api_server: Cluster, router: Plane) -> None:
    good = _token(api_server, "web", AUDIENCE)
    until(lambda: _status(router, good) == 200, "the issuer's keys", seconds=20)
    wrong = {
        "another audience": _token(api_server, "web", "elsewhere"),
        "one audience more": _token(api_server, "web", AUDIENCE, "elsewhere"),
        "the API server's audience": _token(api_server, "web"),
        "another account": _token(api_server, "stranger", AUDIENCE),
    }
    assert {name: _status(router, token) for name, token in wrong.items()} == dict.fromkeys(wrong, 401)


def _token(cluster: Cluster, account: str, *audiences: str) -> str:
    options = [f"--audience={audience}" for audience in audiences]
    return cluster.kubectl("create", "token", account, "-n", "shop", *options).strip()


def _status(router: Plane, credential: str) -> int:
    with router.client(credential) as client:
        return client.get("/v1/models").status_code
