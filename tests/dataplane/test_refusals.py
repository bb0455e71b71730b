"""What Envoy does not take costs nobody else anything, and is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import HOST, START, Manifest, Objects, Plane, chat, key_of, model, plane, tenant

from devkit.waiting import until

PATH = "/v1/chat/completions"
OTHERS = tuple(f"o{number}" for number in range(8))
NO_VALUE = "a\nb"
"""No header has this value, and no object this name; the files that the test's agent reads may say anything."""
NO_ADDRESS = "nowhere"

Bad = Callable[[int], list[Manifest]]
"""What has a part that Envoy refuses, made with the port of an engine."""


def bad_routes(port: int) -> list[Manifest]:
    objects = model("bad", "m", ports=[port])
    objects[0]["metadata"]["name"] = NO_VALUE
    return objects


def bad_endpoints(port: int) -> list[Manifest]:
    return model("bad", "m", host=NO_ADDRESS, ports=[port])


@dataclass(frozen=True)
class Refusing:
    """A router whose Envoy refused something of the first that it was told."""

    router: Plane
    objects: Objects
    refused: dict[str, str]
    """Kind and name."""
    engine: int
    """Port of an engine."""


@pytest.fixture(
    scope="module",
    params=[("RouteConfiguration", "bad", bad_routes), ("ClusterLoadAssignment", "bad/m", bad_endpoints)],
    ids=["routes", "endpoints"],
)
def refusing(
    request: pytest.FixtureRequest, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Refusing]:
    kind, name, bad = request.param
    folder = tmp_path_factory.mktemp("refusing")
    objects = Objects(folder / "objects")
    for other in OTHERS:
        objects.write(other, [*tenant(other, token=TOKEN), *model(other, "m", ports=[fleet.port])])
    objects.write("bad", [*tenant("bad", token=TOKEN), *bad(fleet.port)])
    with plane(folder, ["--directory", str(objects.folder)]) as started:
        until(lambda: _ready(started), "all that can be told", seconds=START)
        yield Refusing(started, objects, {"kind": kind, "name": name}, fleet.port)


def _ready(router: Plane) -> bool:
    return httpx.get(f"http://{HOST}:{router.metrics_port}/readyz", trust_env=False).is_success


def _status(router: Plane, name: str) -> int:
    with router.client(key_of(name)) as client:
        return client.post(PATH, json=chat()).status_code


def _refused(router: Plane) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.get(f"http://{HOST}:{router.debug_port}/debug/refused").json()["refused"]
    return found


def test_a_new_envoy_serves_all_others(refusing: Refusing) -> None:
    assert {name: _status(refusing.router, name) for name in OTHERS} == dict.fromkeys(OTHERS, 200)


def test_what_is_refused_is_told_by_name(refusing: Refusing) -> None:
    kind, name = refusing.refused["kind"], refusing.refused["name"]
    assert _refused(refusing.router) == [refusing.refused]
    assert f'shimmy_router_refused_resources{{kind="{kind}"}} 1.0' in refusing.router.metrics()
    assert f"Envoy refuses {kind} {name}\n" in refusing.router.log_file.read_text()


def test_no_log_quotes_a_secret_of_what_is_refused(refusing: Refusing) -> None:
    log = refusing.router.log_file.read_text()
    assert TOKEN not in log
    assert key_of("bad") not in log


def test_changes_of_others_arrive_and_the_refused_one_can_be_mended(refusing: Refusing) -> None:
    objects, engine = refusing.objects, refusing.engine
    objects.write("new", [*tenant("new", token=TOKEN), *model("new", "m", ports=[engine])])
    until(lambda: _status(refusing.router, "new") == 200, "a new tenant", seconds=10)
    objects.write("bad", [*tenant("bad", token=TOKEN), *model("bad", "m", ports=[engine])])
    until(lambda: _status(refusing.router, "bad") == 200, "the tenant that was refused", seconds=10)
    assert _refused(refusing.router) == []
    assert "refused_resources{kind" not in refusing.router.metrics()
