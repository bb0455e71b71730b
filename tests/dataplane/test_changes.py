"""What changes while requests flow, and what goes away."""

import shutil
from pathlib import Path

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet, serve
from tests.dataplane.plane import START, Objects, chat, key_of, model, plane, tenant

from devkit.waiting import until

PATH = "/v1/chat/completions"
_UNREACHABLE = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""


@pytest.fixture(autouse=True)
def as_before(fleet: Fleet) -> None:
    """Every test finds the same objects."""
    serve(fleet.objects, fleet.port)
    until(lambda: _status(fleet, key_of("a")) == 200, "tenant a is served", seconds=10)


def _status(fleet: Fleet, key: str, model_name: str = "m") -> int:
    with fleet.plane.client(key) as client:
        return client.post(PATH, json=chat(model_name=model_name)).status_code


def test_a_revoked_key_stops_on_an_open_connection_that_stays_open(fleet: Fleet) -> None:
    rotated = [key_of("a"), key_of("a", number=1)]
    fleet.objects.write("a", [*tenant("a", token=TOKEN, keys=rotated), *model("a", "m", ports=[fleet.port])])
    until(lambda: _status(fleet, rotated[1]) == 200, "the second key", seconds=10)
    # Without a body: after an answer to a request whose body is still coming, HTTP/1.1 must close.
    with fleet.plane.client(rotated[1]) as client:
        before = _local_address(client.get("/v1/models"))
        fleet.objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", ports=[fleet.port])])
        until(lambda: client.get("/v1/models").status_code == 401, "the revocation", seconds=1)
        last = client.get("/v1/models", headers={"authorization": f"Bearer {rotated[0]}"})
        assert last.status_code == 200
        assert _local_address(last) == before


def _local_address(response: httpx.Response) -> object:
    """The client's end of the connection that the response came on."""
    return response.extensions["network_stream"].get_extra_info("client_addr")


def test_a_new_model_is_served_and_the_old_ones_never_fail_meanwhile(fleet: Fleet) -> None:
    fleet.objects.write("d", tenant("d", token=TOKEN))
    until(lambda: _status(fleet, key_of("d")) == 404, "a tenant without models", seconds=10)
    seen: list[tuple[int, int]] = []

    def new_answers() -> bool:
        seen.append((_status(fleet, key_of("a")), _status(fleet, key_of("d"))))
        return seen[-1][1] == 200

    fleet.objects.write("d", [*tenant("d", token=TOKEN), *model("d", "m", ports=[fleet.port])])
    until(new_answers, "the new model", seconds=5)
    # Never 503: no route names a cluster before it and its endpoints are there.
    assert {old for old, _ in seen} == {200}
    assert {new for _, new in seen} <= {404, 200}


def test_requests_flow_while_the_agent_is_killed_and_comes_back(fleet: Fleet) -> None:
    fleet.plane.kill_agent()
    assert _status(fleet, key_of("a")) == 200
    fleet.plane.start_agent()
    fleet.objects.write("c", [*tenant("c", token=TOKEN), *model("c", "m", ports=[fleet.port])])
    until(lambda: _status(fleet, key_of("c")) == 200, "a change after the restart", seconds=START)
    assert _status(fleet, key_of("a")) == 200


def test_a_restarted_agent_serves_a_new_envoy_from_its_snapshot_while_its_source_is_away(
    fleet: Fleet, tmp_path: Path
) -> None:
    unreachable = tmp_path / "kubeconfig"
    unreachable.write_text(_UNREACHABLE)
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(fleet.plane.run / "snapshot", run)
    with plane(tmp_path, ["--kubeconfig", str(unreachable)]) as started, started.client(key_of("a")) as client:
        assert client.post(PATH, json=chat()).status_code == 200


def test_without_a_snapshot_or_a_source_nobody_gets_in(tmp_path: Path) -> None:
    unreachable = tmp_path / "kubeconfig"
    unreachable.write_text(_UNREACHABLE)
    with plane(tmp_path, ["--kubeconfig", str(unreachable)], ready=False) as started:
        until(started.metrics, "the agent", seconds=20)
        with started.client(key_of("a")) as client, pytest.raises(httpx.ConnectError):
            client.post(PATH, json=chat())


def test_an_empty_fleet_lets_nobody_in(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects")
    with plane(tmp_path, ["--directory", str(objects.folder)]) as started, started.client(key_of("a")) as client:
        response: httpx.Response = client.post(PATH, json=chat())
        assert response.status_code == 401
