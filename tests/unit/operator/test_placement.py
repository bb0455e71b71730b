"""Placement Shared, and the way from one placement to the other."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.bench import INSTANCE, NS, RESULT, TENANT, Bench, finish

from shimmy_api import names
from shimmy_operator.cluster.resources import Reference

SLOTS = "chat--slots"


async def check(bench: Bench, name: str, source: str) -> None:
    """Have a model whose file is checked."""
    key = Reference("ShimmyModel", NS, name)
    bench.put(key, {"backend": {"gguf": {"source": source}}})
    await bench.run(key)
    finish(bench, 0, json.dumps(RESULT), name)
    await bench.run(key)


@pytest.fixture
async def bench() -> Bench:
    """A tenant with two models on one volume."""
    bench = Bench()
    bench.put(TENANT, {})
    await bench.run(TENANT)
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": NS}}
    bench.cluster.put({**claim, "spec": {}})
    for name in ("one", "two"):
        await check(bench, name, f"pvc://models/{name}.gguf")
    return bench


async def place(bench: Bench, placement: str, *models: str, **more: Any) -> None:
    bench.put(INSTANCE, {"models": list(models or ("one", "two")), "placement": placement, **more})
    bench.time += timedelta(seconds=10)  # counts are written at most every 10 s
    await bench.run(INSTANCE)


async def settle(bench: Bench, *deployments: str) -> None:
    """Do what the Deployment controller does once all pods are ready."""
    for name in deployments:
        found = bench.child("Deployment", name)
        count = found["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), count)
        status = {"observedGeneration": found["metadata"]["generation"], **counts}
        bench.cluster.put({**found, "status": status})
    bench.time += timedelta(seconds=10)
    await bench.run(INSTANCE)


def named(bench: Bench, kind: str) -> set[str]:
    return {key.name for key in bench.cluster.objects if key.kind == kind}


def catalogue(bench: Bench) -> list[str]:
    text = bench.child("Deployment", SLOTS)["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_CATALOGUE]
    return [model["name"] for model in json.loads(text)["models"]]


def receivers(bench: Bench) -> dict[str, str]:
    """Which pods get the requests for each model that has a Service."""
    kinds = {names.LABEL_PLACEMENT: "slots", names.LABEL_MODEL: "own"}
    services = {name: bench.child("Service", name)["spec"]["selector"] for name in named(bench, "Service")}
    return {name: next(kinds[label] for label in kinds if label in found) for name, found in services.items()}


def states(bench: Bench) -> dict[str, str]:
    return {model["name"]: model["state"] for model in bench.cluster.objects[INSTANCE]["status"]["models"]}


async def test_models_that_share_pods_have_one_deployment_and_a_service_each(bench: Bench) -> None:
    await place(bench, "Shared", replicas=3)
    assert (named(bench, "Deployment"), named(bench, "Service")) == ({SLOTS}, set())
    assert bench.ready(INSTANCE) == ("False", "Loading")
    await settle(bench, SLOTS)
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "slots"}
    labels = [bench.child("Service", f"chat-{model}")["metadata"]["labels"] for model in ("one", "two")]
    assert [found[names.LABEL_MODEL] for found in labels] == ["one", "two"]
    assert bench.ready(INSTANCE) == ("True", "Serving")
    status = bench.cluster.objects[INSTANCE]["status"]
    assert (status["replicas"], status["readyReplicas"]) == (3, 3)
    assert [(model["replicas"], model["readyReplicas"]) for model in status["models"]] == [(3, 3), (3, 3)]
    bench.cluster.writes.clear()
    await bench.run(INSTANCE)
    assert bench.cluster.writes == []


async def test_slots_at_zero_have_their_services_at_once(bench: Bench) -> None:
    await place(bench, "Shared", replicas=0)
    await settle(bench, SLOTS)
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "slots"}
    assert bench.ready(INSTANCE) == ("True", "AtZero")


async def test_a_model_that_is_not_checked_is_left_out_and_told(bench: Bench) -> None:
    await place(bench, "Shared", "one", "later")
    await settle(bench, SLOTS)
    assert catalogue(bench) == ["one"]
    assert receivers(bench) == {"chat-one": "slots"}
    assert states(bench) == {"one": "Ready", "later": "Waiting"}
    status = bench.cluster.objects[INSTANCE]["status"]
    assert status["replicas"] == 1
    assert "ShimmyModel later does not exist" in status["conditions"][0]["message"]


async def test_a_model_that_is_added_gets_its_service_when_all_slots_know_it(bench: Bench) -> None:
    await place(bench, "Shared", "one")
    await settle(bench, SLOTS)
    template = bench.child("Deployment", SLOTS)["spec"]["template"]
    await place(bench, "Shared", "one", "two")
    assert bench.child("Deployment", SLOTS)["spec"]["template"] != template
    assert receivers(bench) == {"chat-one": "slots"}
    assert states(bench) == {"one": "Ready", "two": "Loading"}
    await settle(bench, SLOTS)
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "slots"}


async def test_a_model_that_leaves_loses_its_service_at_once(bench: Bench) -> None:
    await place(bench, "Shared")
    await settle(bench, SLOTS)
    await place(bench, "Shared", "two")
    assert (receivers(bench), catalogue(bench)) == ({"chat-two": "slots"}, ["two"])


async def test_slots_go_on_as_they_are_while_a_file_of_theirs_is_checked_anew(bench: Bench) -> None:
    await place(bench, "Shared")
    await settle(bench, SLOTS)
    before = bench.child("Deployment", SLOTS)
    two = Reference("ShimmyModel", NS, "two")
    bench.put(two, {"backend": {"gguf": {"source": "pvc://models/new.gguf"}}})
    await bench.run(two, INSTANCE)
    assert bench.child("Deployment", SLOTS) == before
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "slots"}
    refusal = json.dumps({"reason": "NotGguf", "message": "it starts with PK"})
    finish_new(bench, refusal)
    await bench.run(two, INSTANCE)
    assert (receivers(bench), catalogue(bench)) == ({"chat-one": "slots"}, ["one"])
    assert states(bench) == {"one": "Ready", "two": "Waiting"}


def finish_new(bench: Bench, message: str) -> None:
    """Let the Job that checks the new file of `two` end with a refusal."""
    for key in [key for key in bench.cluster.objects if key.kind == "Job"]:
        if bench.cluster.objects[key].get("status"):
            bench.cluster.drop(key)
    finish(bench, 1, message, "two")


async def test_slots_take_over_when_all_of_them_are_ready(bench: Bench) -> None:
    await place(bench, "Dedicated")
    await settle(bench, "chat-one", "chat-two")
    await place(bench, "Shared", replicas=2)
    assert named(bench, "Deployment") == {"chat-one", "chat-two", SLOTS}
    assert receivers(bench) == {"chat-one": "own", "chat-two": "own"}
    assert bench.ready(INSTANCE) == ("True", "Degraded")
    assert bench.cluster.objects[INSTANCE]["status"]["readyReplicas"] == 2
    await settle(bench, SLOTS)
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "slots"}
    assert named(bench, "Deployment") == {SLOTS}
    assert bench.ready(INSTANCE) == ("True", "Serving")


async def test_each_models_own_pods_take_over_when_they_are_ready(bench: Bench) -> None:
    await place(bench, "Shared")
    await settle(bench, SLOTS)
    await place(bench, "Dedicated")
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "slots"}
    await settle(bench, "chat-one")
    assert receivers(bench) == {"chat-one": "own", "chat-two": "slots"}
    assert named(bench, "Deployment") == {"chat-one", "chat-two", SLOTS}
    await settle(bench, "chat-two")
    assert receivers(bench) == {"chat-one": "own", "chat-two": "own"}
    assert named(bench, "Deployment") == {"chat-one", "chat-two"}


async def test_a_model_that_is_being_checked_keeps_its_own_pods_until_the_slots_have_it(bench: Bench) -> None:
    await place(bench, "Dedicated")
    await settle(bench, "chat-one", "chat-two")
    two = Reference("ShimmyModel", NS, "two")
    bench.put(two, {"backend": {"gguf": {"source": "pvc://models/new.gguf"}}})
    await bench.run(two)
    await place(bench, "Shared")
    await settle(bench, SLOTS)
    assert receivers(bench) == {"chat-one": "slots", "chat-two": "own"}
    assert named(bench, "Deployment") == {"chat-two", SLOTS}
