"""Children that are deleted or edited come back within 5 s."""

import base64
import time
from typing import Any, Final

import pytest
from tests.api import objects

from devkit.cluster import Cluster
from devkit.waiting import until

_WITHIN: Final = 5.0
_NS: Final = "shimmy-drift"
_POLICIES: Final = f"/apis/networking.k8s.io/v1/namespaces/{_NS}/networkpolicies"

CHILDREN: Final = {
    "quota": f"/api/v1/namespaces/{_NS}/resourcequotas/shimmy-quota",
    "account": f"/api/v1/namespaces/{_NS}/serviceaccounts/shimmy-engine",
    "deny": f"{_POLICIES}/shimmy-default-deny",
    "engines": f"{_POLICIES}/shimmy-engines",
    "fetch": f"{_POLICIES}/shimmy-fetch",
    "key": f"/api/v1/namespaces/{_NS}/secrets/shimmy-key-default",
    "token": f"/api/v1/namespaces/{_NS}/secrets/shimmy-engine-token",
    "mirror": "/api/v1/namespaces/shimmy-system/secrets/shimmy-keys-drift",
    "deployment": f"/apis/apps/v1/namespaces/{_NS}/deployments/chat-tiny",
    "service": f"/api/v1/namespaces/{_NS}/services/chat-tiny",
}

EDITS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a wall that is opened": ("deny", {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}),
    "a rule that is added": ("engines", {"spec": {"ingress": [{}]}}),
    "an address that is let in": ("fetch", {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}}),
    "a quota that is raised": ("quota", {"spec": {"hard": {"requests.nvidia.com/gpu": "9"}}}),
    "replicas": ("deployment", {"spec": {"replicas": 7}}),
    "an owner that is removed": ("service", {"metadata": {"ownerReferences": None}}),
    "a port that is replaced": ("service", {"spec": {"ports": [{"name": "http", "port": 9999}]}}),
    "labels that are removed": ("mirror", {"metadata": {"labels": None}}),
    "a key that is exchanged": ("mirror", {"data": {"key.default": base64.b64encode(b"x").decode()}}),
    "a token that is mounted": ("account", {"automountServiceAccountToken": True}),
}


@pytest.fixture
def fleet(cluster: Cluster) -> Cluster:
    if cluster.client.find(CHILDREN["deployment"]) is None:
        objects.make_fleet(cluster, "drift")
        tenant = "/apis/shimmy.dev/v1alpha1/shimmytenants/drift"
        objects.merge(cluster, tenant, {"spec": {"quota": {"gpus": 1}}})
        quota = CHILDREN["quota"]
        until(lambda: cluster.client.json(quota)["spec"].get("hard"), "the quota is there", seconds=_WITHIN)
    return cluster


def important(manifest: dict[str, Any]) -> dict[str, Any]:
    """All but what changes with every write."""
    metadata = {key: manifest["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")}
    rest = {key: value for key, value in manifest.items() if key not in {"metadata", "status"}}
    return {"metadata": metadata, **rest}


@pytest.mark.parametrize("child", [name for name in CHILDREN if name not in {"key", "token", "mirror"}])
def test_a_deleted_child_comes_back(fleet: Cluster, child: str) -> None:
    path = CHILDREN[child]
    before = fleet.client.json(path)
    fleet.client.json(path, "DELETE")
    after = until(lambda: fleet.client.find(path), f"{child} is back", seconds=_WITHIN)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert important(after) == important(before)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_child_is_put_right(fleet: Cluster, edit: str) -> None:
    child, patch = EDITS[edit]
    path = CHILDREN[child]
    before = important(fleet.client.json(path))
    started = time.monotonic()
    objects.merge(fleet, path, patch)
    until(lambda: important(fleet.client.json(path)) == before, f"{edit} is put right", seconds=_WITHIN)
    assert time.monotonic() - started < _WITHIN


def test_a_deleted_key_is_replaced_by_another_that_the_router_learns(fleet: Cluster) -> None:
    before = fleet.client.json(CHILDREN["key"])["data"]["key"]
    fleet.client.json(CHILDREN["key"], "DELETE")
    until(
        lambda: (fleet.client.find(CHILDREN["key"]) or {"data": {"key": before}})["data"]["key"] != before,
        "there is a new key",
        seconds=_WITHIN,
    )
    new = fleet.client.json(CHILDREN["key"])["data"]["key"]
    until(
        lambda: fleet.client.json(CHILDREN["mirror"])["data"]["key.default"] == new,
        "the mirror has the new key",
        seconds=_WITHIN,
    )


def test_a_key_whose_secret_loses_its_labels_stays_the_same(fleet: Cluster) -> None:
    before = important(fleet.client.json(CHILDREN["key"]))
    objects.merge(fleet, CHILDREN["key"], {"metadata": {"labels": None}})
    until(lambda: important(fleet.client.json(CHILDREN["key"])) == before, "the labels are back", seconds=_WITHIN)


def test_what_happened_while_the_api_server_was_away_is_put_right(fleet: Cluster) -> None:
    path = CHILDREN["deny"]
    fleet.stop_apiserver()
    fleet.start_apiserver()
    fleet.client.json(path, "DELETE")
    until(lambda: fleet.client.find(path), "the wall is back", seconds=objects.SECONDS)
