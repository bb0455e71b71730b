"""A router for one tenant alone, from the tenant's spec to an agent that serves it and nobody else."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from tests.api import meters, objects, process
from tests.api.agents import START, agent, identity, rights
from tests.api.objects import Manifest
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.cluster.client import ApiError
from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_api import names
from shimmy_api.load import DeploymentLoad, LoadReport, LoadTotals
from shimmy_operator.render.router import NAME

TENANT, OTHER = "alone", "beside"
HOME, ELSEWHERE = names.tenant_namespace(TENANT), names.tenant_namespace(OTHER)
KINDS = {
    "ServiceAccount": "v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "PodDisruptionBudget": "policy/v1",
}
READ = ("shimmymodels", "shimmyinstances", "endpointslices", "secrets")


@pytest.fixture(scope="module")
def fleet(installed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With a tenant that has a router of its own, and one that has not."""
    installed.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_router/rbac.yaml"))
    with process.running(installed, tmp_path_factory.mktemp("own") / "operator.log", "--resync-seconds", "2"):
        for tenant in (objects.tenant(TENANT, router="Dedicated"), objects.tenant(OTHER)):
            objects.wait_reason(installed, objects.create(installed, tenant), "Provisioned")
        yield installed


def test_everything_of_it_is_in_the_tenants_namespace(fleet: Cluster) -> None:
    for kind in KINDS:
        assert _child(fleet, kind) is not None
    assert _status(fleet)["endpoint"] == f"http://{NAME}.{HOME}.svc/v1"


def test_its_pods_are_admitted_by_the_namespaces_pod_security(fleet: Cluster) -> None:
    deployment = _child(fleet, "Deployment")
    assert deployment
    pod = objects.pod_of(deployment, "apps/v1", "Deployment", "admitted")
    fleet.client.json(f"{objects.collection(pod)}?dryRun=All", "POST", pod)


def test_it_reads_what_is_in_its_namespace_and_nothing_elsewhere(fleet: Cluster) -> None:
    client = fleet.user_client(*identity(HOME, NAME))
    read = {(resource, verb) for resource in READ for verb in ("list", "watch")}
    assert rights(client, HOME) == {*read, ("shimmyinstances/load", "create")}
    for namespace in (ELSEWHERE, NAMESPACE, "default"):
        assert rights(client, namespace) == set()


def test_the_keys_lie_where_the_tenants_router_reads_them_and_nowhere_else(fleet: Cluster) -> None:
    assert _mirror(fleet, HOME)
    assert not _mirror(fleet, NAMESPACE)


def test_its_agent_serves_the_tenant_and_the_shared_one_serves_the_others(fleet: Cluster, tmp_path: Path) -> None:
    with (
        agent(fleet, HOME, NAME, tmp_path / "own", f"--tenant={TENANT}") as own,
        agent(fleet, NAMESPACE, "shimmy-router", tmp_path / "shared") as shared,
    ):
        assert until(own.credentials, "the tenant's own", seconds=START) == {TENANT: ["default"]}
        known = until(lambda: shared.credentials().get(OTHER), "the shared one", seconds=START)
        assert known == ["default"]
        assert TENANT not in shared.credentials()
        # What changes in the tenant's spec reaches it, though it may read no ShimmyTenant.
        objects.merge(fleet, _path(), {"spec": {"keys": [{"name": "default"}, {"name": "second"}]}})
        expected = {TENANT: ["default", "second"]}
        until(lambda: own.credentials() == expected, "the second key", seconds=objects.SECONDS)


def test_its_agent_knows_the_issuer_of_service_accounts_tokens(fleet: Cluster, tmp_path: Path) -> None:
    tokens = [{"name": "jobs", "audience": "shimmy", "values": [f"system:serviceaccount:{HOME}:job"]}]
    objects.merge(fleet, _path(), {"spec": {"tokens": tokens}})
    with agent(fleet, HOME, NAME, tmp_path / "own", f"--tenant={TENANT}") as own:
        until(lambda: "jobs" in own.credentials().get(TENANT, ()), "tokens", seconds=START)


def test_it_tells_the_loads_of_its_namespace_and_of_no_other(fleet: Cluster, tmp_path: Path) -> None:
    autoscaling = {"minReplicas": 1, "maxReplicas": 2}
    objects.create(fleet, objects.model(HOME, "tiny", "pvc://models/tiny.gguf"))
    objects.create(fleet, objects.instance(HOME, "told", "tiny", autoscaling=autoscaling))
    deployment = _child(fleet, "Deployment")
    assert deployment
    objects.create(fleet, objects.pod_of(deployment, "apps/v1", "Deployment", "own-0"))
    with meters.meters(fleet, tmp_path) as running:
        mount, reader = running.mount(NAME, HOME, "own-0"), running.token(meters.OPERATOR)

        def told() -> list[tuple[str, str]]:
            code, text = running.loads(reader)
            assert code == HTTPStatus.OK, text
            return [(total.namespace, total.deployment) for total in LoadTotals.model_validate_json(text).totals]

        with agent(fleet, HOME, NAME, tmp_path / "own", f"--tenant={TENANT}", "--node=own-0", *running.options(mount)):
            expected = [(HOME, names.serving("told", "tiny"))]
            until(lambda: told() == expected, "its namespace's loads", seconds=START)
        token = (mount / "token").read_text()
        other = DeploymentLoad(namespace=ELSEWHERE, deployment="d", instance="i")
        code, text = running.post(token, LoadReport(router="own-0", loads=(other,)))
        assert code == HTTPStatus.FORBIDDEN
        assert text == f"a router of namespace {HOME} cannot speak of namespace {ELSEWHERE}"


def test_what_is_deleted_of_it_comes_back(fleet: Cluster) -> None:
    for kind in ("RoleBinding", "Deployment", "Service", "PodDisruptionBudget"):
        before = _child(fleet, kind)
        assert before
        fleet.client.json(_child_path(kind), "DELETE")

        def made_anew(kind: str = kind, uid: str = before["metadata"]["uid"]) -> bool:
            live = _child(fleet, kind)
            return live is not None and live["metadata"]["uid"] != uid

        until(made_anew, f"another {kind}", seconds=objects.SECONDS)


def test_back_at_the_shared_router_it_is_gone_and_the_keys_are_there(fleet: Cluster) -> None:
    objects.merge(fleet, _path(), {"spec": {"router": "Shared"}})
    until(lambda: _mirror(fleet, NAMESPACE) and not _mirror(fleet, HOME), "the keys", seconds=objects.SECONDS)
    for kind in ("RoleBinding", "Deployment", "Service", "PodDisruptionBudget"):
        until(lambda kind=kind: _child(fleet, kind) is None, f"no {kind}", seconds=objects.SECONDS)  # type: ignore[misc]
    assert rights(fleet.user_client(*identity(HOME, NAME)), HOME) == set()
    until(lambda: NAME not in _status(fleet)["endpoint"], "the shared address", seconds=objects.SECONDS)


def _path() -> str:
    return f"{objects.GROUP}/shimmytenants/{TENANT}"


def _status(fleet: Cluster) -> Manifest:
    found: Manifest = fleet.client.json(_path())["status"]
    return found


def _child_path(kind: str) -> str:
    return objects.path({"apiVersion": KINDS[kind], "kind": kind, "metadata": {"name": NAME, "namespace": HOME}})


def _child(fleet: Cluster, kind: str) -> Manifest | None:
    found: Manifest | None = fleet.client.find(_child_path(kind))
    return None if found is None or "deletionTimestamp" in found["metadata"] else found


def _mirror(fleet: Cluster, namespace: str) -> bool:
    try:
        fleet.client.json(f"/api/v1/namespaces/{namespace}/secrets/{names.mirrored_keys_secret(TENANT)}")
    except ApiError:
        return False
    return True
