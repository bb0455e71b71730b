"""The audit log of a real API server tells writes from applies that change nothing."""

import pytest

from devkit import audit, cluster
from devkit.cluster import Cluster
from devkit.testing import api_server as api_server

USER = "somebody"
CONFIG = "/api/v1/namespaces/default/configmaps/{}?fieldManager=test&force=true"


@pytest.fixture
def somebody(api_server: Cluster) -> cluster.Client:
    """A user apart from the administrator."""
    return api_server.user_client(USER, ["system:masters"])


def apply_config(client: cluster.Client, name: str, value: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}}
    client.json(CONFIG.format(name), "PATCH", body, "application/apply-patch+yaml")


def test_an_apply_of_the_same_is_no_write(api_server: Cluster, somebody: cluster.Client) -> None:
    for value in ("a", "a", "b", "b", "b"):
        apply_config(somebody, "same", value)

    applied = [r for r in audit.requests(api_server.audit_log, USER) if r.name == "same"]
    written = [r for r in audit.writes(api_server.audit_log, USER) if r.name == "same"]
    assert len(applied) == 5
    assert written == [applied[0], applied[2]]
    assert "fieldManager=test" in written[0].uri


def test_no_secret_is_in_the_log(api_server: Cluster, somebody: cluster.Client) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"key": "hunter2-never-logged"}}
    somebody.json("/api/v1/namespaces/default/secrets", "POST", secret)

    assert [r.resource for r in audit.writes(api_server.audit_log, USER)].count("secrets") == 1
    log = api_server.audit_log.read_text()
    assert "hunter2" not in log
    assert "aHVudGVyMi" not in log


def test_the_api_server_comes_back_with_everything_in_it(api_server: Cluster, somebody: cluster.Client) -> None:
    apply_config(somebody, "kept", "a")

    api_server.stop_apiserver(at_once=True)
    with pytest.raises(OSError, match="refused"):
        somebody.text("/readyz")
    api_server.start_apiserver()

    assert somebody.json("/api/v1/namespaces/default/configmaps/kept")["data"] == {"key": "a"}


def test_a_user_has_only_the_rights_that_rbac_gives(api_server: Cluster) -> None:
    stranger = api_server.user_client("system:serviceaccount:default:stranger", ["system:serviceaccounts"])

    with pytest.raises(cluster.ApiError, match="cannot list resource") as refused:
        stranger.json("/api/v1/secrets")
    assert refused.value.code == 403
