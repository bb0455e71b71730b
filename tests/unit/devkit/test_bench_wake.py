"""What the benchmark of wakes takes for which moment: a wrong one would make a peer look fast or slow."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devkit.bench.wake.moments import AWAKE, OWN_PHASES, PHASES, Target, Wake, wake
from devkit.bench.wake.rounds import Log, Result
from devkit.bench.wake.table import percentile, rows
from devkit.bench.wake.upstream import adapted

START = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target("default", "deployments", "echo", {"app": "echo"})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(seconds: float, resource: str, subresource: str = "", code: int = 200, **answer: Any) -> dict[str, Any]:
    reference = {"resource": resource, "namespace": "default", "name": "echo", "subresource": subresource}
    return {
        "stage": "ResponseComplete",
        "verb": "update",
        "objectRef": reference,
        "responseStatus": {"code": code},
        "responseObject": answer,
        "stageTimestamp": at(seconds).isoformat(),
    }


def scale(seconds: float, replicas: int, subresource: str = "scale", code: int = 200) -> dict[str, Any]:
    return event(seconds, "deployments", subresource, code, spec={"replicas": replicas})


def pod(seconds: float, ready: str = "True", app: str = "echo", subresource: str = "status") -> dict[str, Any]:
    conditions = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]
    labels = {"app": app, "pod-template-hash": "1"}
    return event(seconds, "pods", subresource, metadata={"labels": labels}, status={"conditions": conditions})


def woken(*events: dict[str, Any]) -> Wake:
    return wake(events, TARGET, at(1), at(4))


def test_the_moments_are_those_of_the_first_write_that_asks_for_a_pod_and_of_the_first_that_tells_one_ready() -> None:
    found = woken(scale(2, 1), pod(2.5, ready="False"), pod(3), scale(3.5, 1), pod(3.6))

    assert found == Wake(at(1), at(2), at(3), at(4))
    assert found.seconds == dict(zip(PHASES, (1.0, 1.0, 1.0, 3.0, 2.0), strict=True))


def test_a_write_of_the_object_itself_asks_for_a_pod_too() -> None:
    assert woken(scale(2, 1, subresource=""), pod(3)).scaled == at(2)


@pytest.mark.parametrize(
    "other",
    [scale(0.5, 1), scale(1.5, 0), scale(1.5, 1, subresource="status"), scale(1.5, 1, code=409)],
    ids=["before the request", "to zero", "of the status", "refused"],
)
def test_other_writes_of_the_object_ask_for_no_pod(other: dict[str, Any]) -> None:
    assert woken(other, scale(2, 1), pod(3)).scaled == at(2)


@pytest.mark.parametrize("other", [pod(2.5, app="other"), pod(2.5, subresource="")], ids=["other pod", "no status"])
def test_only_a_status_of_its_pods_tells_one_ready(other: dict[str, Any]) -> None:
    assert woken(scale(2, 1), other, pod(3)).ready == at(3)


@pytest.mark.parametrize(("events", "what"), [([pod(3)], "asks for a pod"), ([scale(2, 1)], "became ready")])
def test_moments_that_are_not_told_are_not_made_up(events: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(LookupError, match=what):
        woken(*events)


def test_a_log_tells_what_was_written_since_and_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(json.dumps({"n": 1}) + "\n")
    log = Log(path)

    with path.open("a") as file:
        file.write(json.dumps({"n": 2}) + "\n" + '{"n": ')

    assert list(log.events()) == [{"n": 2}]


def test_manifests_get_our_images_one_pod_and_the_environment_and_stay_as_they_were() -> None:
    container = {"name": "a", "image": "x", "env": [{"name": "KEPT", "value": "1"}, {"name": "SET", "value": "1"}]}
    deployment: dict[str, Any] = {
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [container]}}},
    }
    before = copy.deepcopy(deployment)

    (made,) = adapted(
        [deployment, {"kind": "Service", "metadata": {"name": "s"}}], {"a": "ours"}, {"SET": "2"}, {("Service", "s")}
    )

    (only,) = made["spec"]["template"]["spec"]["containers"]
    assert made["spec"]["replicas"] == 1
    assert (only["image"], only["imagePullPolicy"]) == ("ours", "Never")
    assert {entry["name"]: entry["value"] for entry in only["env"]} == {"KEPT": "1", "SET": "2"}
    assert deployment == before


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = [float(n) for n in range(1, 101)]

    assert percentile(hundred, 0.99) == 99.0
    assert percentile(hundred[:20], 0.99) == 20.0


def test_the_table_tells_failures_where_nothing_woke() -> None:
    shown = list(rows({"some": Result([], ["502"])}))

    assert shown[1:] == [f"{'some':24} 0 woken, 1 failed"]


def test_where_pod_and_router_say_so_the_rest_is_taken_apart() -> None:
    found = replace(woken(scale(2, 1), pod(3)), able=at(2.5), let_go=at(3.25))
    assert {phase: found.seconds[phase] for phase in OWN_PHASES} == dict(
        zip(OWN_PHASES, (0.5, 0.75, 0.75, 1.5), strict=True)
    )
    assert replace(found, awake=timedelta(seconds=0.25)).seconds[AWAKE] == 0.25
    assert not {*OWN_PHASES, AWAKE} & woken(scale(2, 1), pod(3)).seconds.keys()
