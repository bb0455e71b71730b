"""The router starts the first pod of a Deployment, and never changes another number than 0."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.api.agents import identity

from devkit.cluster import Cluster
from shimmy_router.sources.scale import starting
from shimmy_router.wake.waker import Start, StartError

NAMESPACE = "starting"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
ROLES = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"


@pytest.fixture(scope="module")
def namespace(api_server: Cluster) -> Iterator[Cluster]:
    """A namespace in which the router may change the scale of Deployments."""
    client = api_server.client
    client.json("/api/v1/namespaces", "POST", {"metadata": {"name": NAMESPACE}})
    rule = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]}
    client.json(f"{ROLES}/roles", "POST", {"metadata": {"name": "scale"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "shimmy-router", "namespace": "shimmy-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "scale"}
    client.json(
        f"{ROLES}/rolebindings", "POST", {"metadata": {"name": "scale"}, "roleRef": role, "subjects": [subject]}
    )
    yield api_server
    client.json(f"/api/v1/namespaces/{NAMESPACE}", "DELETE")


@pytest.fixture
async def start(namespace: Cluster) -> AsyncIterator[Start]:
    kubeconfig = namespace.credentials(*identity("shimmy-system", "shimmy-router"))
    async with starting(str(kubeconfig)) as found:
        yield found


def deployment(cluster: Cluster, name: str, replicas: int) -> None:
    container = {"name": "c", "image": "i"}
    labels = {"app": name}
    spec: dict[str, Any] = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    cluster.client.json(DEPLOYMENTS, "POST", {"metadata": {"name": name}, "spec": spec})


def replicas(cluster: Cluster, name: str) -> int:
    return int(cluster.client.json(f"{DEPLOYMENTS}/{name}")["spec"]["replicas"])


async def test_a_deployment_without_pods_gets_one(namespace: Cluster, start: Start) -> None:
    deployment(namespace, "asleep", 0)
    assert await start(NAMESPACE, "asleep")
    assert replicas(namespace, "asleep") == 1
    assert not await start(NAMESPACE, "asleep")


async def test_any_other_number_stays(namespace: Cluster, start: Start) -> None:
    deployment(namespace, "awake", 3)
    assert not await start(NAMESPACE, "awake")
    assert replicas(namespace, "awake") == 3


async def test_of_many_that_start_it_at_once_one_does(namespace: Cluster, start: Start) -> None:
    deployment(namespace, "wanted", 0)
    started = await asyncio.gather(*(start(NAMESPACE, "wanted") for _ in range(8)))
    assert sum(started) == 1
    assert replicas(namespace, "wanted") == 1


@pytest.mark.parametrize("where", [(NAMESPACE, "nowhere"), ("default", "not-allowed")])
async def test_what_cannot_be_started_is_an_error(start: Start, where: tuple[str, str]) -> None:
    with pytest.raises(StartError, match=where[1]):
        await start(*where)
