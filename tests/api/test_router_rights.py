"""The router's agent has the rights that it needs, and its ServiceAccount no others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api import objects, process
from tests.api.agents import START, agent, identity, rights
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.cluster.client import ApiError, Client
from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_api import names

ACCOUNT = "shimmy-router"
TENANT = "guarded"
TENANT_NAMESPACE = names.tenant_namespace(TENANT)
FORBIDDEN = 403

FLEET = ("shimmytenants", "shimmymodels", "shimmyinstances", "endpointslices")
EVERYWHERE = {(resource, verb) for resource in FLEET for verb in ("list", "watch")}
AT_HOME = EVERYWHERE | {("secrets", "list"), ("secrets", "watch")}


@pytest.fixture(scope="module")
def fleet(installed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With the router's rights, and a tenant with keys."""
    installed.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_router/rbac.yaml"))
    with process.running(installed, tmp_path_factory.mktemp("rights") / "operator.log"):
        objects.wait_reason(installed, objects.create(installed, objects.tenant(TENANT)), "Provisioned")
        yield installed


@pytest.fixture
def router(fleet: Cluster) -> Client:
    """Requests as the router's ServiceAccount."""
    return fleet.user_client(*identity(NAMESPACE, ACCOUNT))


@pytest.mark.parametrize("namespace", [TENANT_NAMESPACE, "default", "kube-system"])
def test_in_every_namespace_it_only_reads_what_the_fleet_is(router: Client, namespace: str) -> None:
    assert rights(router, namespace) == EVERYWHERE


def test_at_home_it_also_reads_secrets(router: Client) -> None:
    assert rights(router, NAMESPACE) == AT_HOME


def test_it_reads_no_secret_of_a_tenant(router: Client, fleet: Cluster) -> None:
    secrets = f"/api/v1/namespaces/{TENANT_NAMESPACE}/secrets"
    found = fleet.client.json(secrets)["items"]
    assert found, "the tenant has keys"
    for path in (secrets, "/api/v1/secrets", *(f"{secrets}/{secret['metadata']['name']}" for secret in found)):
        assert _refusal(router, path) == FORBIDDEN


def test_rbac_knows_no_labels_so_that_every_secret_at_home_is_readable(router: Client, fleet: Cluster) -> None:
    stray: objects.Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "stray", "namespace": NAMESPACE},
        "stringData": {"key": "value"},
    }
    objects.create(fleet, stray)
    try:
        listed = router.json(f"/api/v1/namespaces/{NAMESPACE}/secrets")["items"]
        assert "stray" in {secret["metadata"]["name"] for secret in listed}
    finally:
        fleet.client.json(objects.path(stray), "DELETE")


def test_it_lists_no_pods_and_no_workloads(router: Client) -> None:
    for path in ("/api/v1/pods", f"/api/v1/namespaces/{TENANT_NAMESPACE}/pods", "/apis/apps/v1/deployments"):
        assert _refusal(router, path) == FORBIDDEN


def test_it_scales_nothing(router: Client) -> None:
    for namespace in (TENANT_NAMESPACE, NAMESPACE, "kube-system"):
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/any/scale"
        patch = {"spec": {"replicas": 1}}
        assert _refusal(router, path, "PATCH", patch, "application/merge-patch+json") == FORBIDDEN


def test_it_writes_no_object_of_the_fleet(router: Client) -> None:
    tenant = objects.tenant("forged")
    assert _refusal(router, objects.collection(tenant), "POST", tenant) == FORBIDDEN
    path = f"{objects.GROUP}/shimmytenants/{TENANT}"
    for target in (path, f"{path}/status"):
        assert _refusal(router, target, "PATCH", {"spec": {}}, "application/merge-patch+json") == FORBIDDEN
    assert _refusal(router, path, "DELETE") == FORBIDDEN


def test_the_agent_can_do_its_work_with_that(fleet: Cluster, tmp_path: Path) -> None:
    with agent(fleet, NAMESPACE, ACCOUNT, tmp_path) as running:
        known = until(lambda: running.credentials().get(TENANT), "it knows the tenant's key", seconds=START)
    assert known == ["default"]


def _refusal(
    router: Client, path: str, method: str = "GET", body: object = None, kind: str = "application/json"
) -> int:
    """Status of the refusal; 0 if it was none."""
    try:
        router.json(path, method, body, kind)
    except ApiError as error:
        return error.code
    return 0
