"""What statuses say, case by case."""

import json
from typing import Any

import pytest

from shimmy_api.instance import ModelState, ServedModel, ShimmyInstanceStatus
from shimmy_api.model import Artifact, LoraArtifact
from shimmy_api.sources import VolumeSource
from shimmy_operator.render.location import Location
from shimmy_operator.status.check import Refusal, Running, read_result
from shimmy_operator.status.conditions import Verdict, ready_condition
from shimmy_operator.status.instance import (
    Counts,
    instance_status,
    instance_verdict,
    moving_model,
    served_model,
    settled,
)
from shimmy_operator.status.model import at_work, refused, usable
from shimmy_operator.status.pods import find_problem

FOUND = {
    "sha256": "a" * 64,
    "sizeBytes": 10,
    "architecture": "llama",
    "quantization": "Q4_1",
    "contextLength": 2048,
    "parameters": 5,
}
LOCATION = Location("models", "tiny.gguf", None)


def pod(name: str = "p", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status}


def container(*, waiting: Any = None, ended: Any = None, last: Any = None, ready: bool = False) -> dict[str, Any]:
    state = {"waiting": waiting} if waiting else {"terminated": ended} if ended else {"running": {}}
    return {"containerStatuses": [{"ready": ready, "state": state, "lastState": {"terminated": last} if last else {}}]}


def unscheduled(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": [condition]}


def job(how: str | None = None) -> dict[str, Any]:
    conditions = [{"type": how, "status": "True"}] if how else []
    return {"metadata": {"name": "job"}, "status": {"conditions": conditions}}


def deployment(wanted: int, ready: int) -> dict[str, Any]:
    return {"spec": {"replicas": wanted}, "status": {"readyReplicas": ready}}


def refusing(wanted: int, there: int) -> dict[str, Any]:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    counts = {"readyReplicas": there, "replicas": there}
    return {"spec": {"replicas": wanted}, "status": {**counts, "conditions": [condition]}}


NO_GPU = '{"reason":"NoGpu","message":"the engine took a software renderer although a GPU is required"}'
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}


@pytest.mark.parametrize(
    ("status", "reason", "part"),
    [
        (unscheduled("0/2 nodes: Insufficient nvidia.com/gpu"), "Unschedulable", "Insufficient nvidia.com/gpu"),
        (container(waiting={"reason": "ImagePullBackOff", "message": "no such image"}), "ImagePullBackOff", "no such"),
        (container(waiting=BACK_OFF, last={"exitCode": 1, "message": "a\nbad file"}), "CrashLoopBackOff", "bad file"),
        (container(waiting=BACK_OFF, last={"exitCode": 137, "reason": "OOMKilled"}), "OOMKilled", "raise spec."),
        (container(waiting=BACK_OFF, last={"exitCode": 1, "message": f"log\n{NO_GPU}"}), "NoGpu", "software renderer"),
        (container(last={"exitCode": 143, "message": NO_GPU}), "NoGpu", "software renderer"),
        (container(waiting=BACK_OFF, last={"exitCode": 1, "message": '{"a": 1}'}), "CrashLoopBackOff", '{"a": 1}'),
        (
            container(waiting={"reason": "CreateContainerConfigError", "message": "x"}),
            "CreateContainerConfigError",
            "x",
        ),
    ],
)
def test_a_pod_that_does_not_start_says_why(status: dict[str, Any], reason: str, part: str) -> None:
    problem = find_problem([pod(**status)])
    assert problem is not None
    assert problem.reason == reason
    assert part in problem.message


def test_a_pod_whose_first_step_does_not_start_says_why_too() -> None:
    first = container(waiting={"reason": "ImagePullBackOff", "message": "no such image"})
    problem = find_problem([pod(initContainerStatuses=first["containerStatuses"])])
    assert problem is not None
    assert problem.reason == "ImagePullBackOff"


@pytest.mark.parametrize(
    "status",
    [
        {},
        container(),
        container(waiting={"reason": "ContainerCreating"}),
        container(ready=True, last={"exitCode": 1, "message": NO_GPU}),
    ],
)
def test_a_pod_that_is_on_its_way_has_no_problem(status: dict[str, Any]) -> None:
    assert find_problem([pod(**status)]) is None


def test_a_checked_file_becomes_an_artifact() -> None:
    ended = container(ended={"exitCode": 0, "message": json.dumps({**FOUND, "more": 1})})
    artifact = read_result(job("Complete"), [pod(**ended)], LOCATION, "digest")
    assert isinstance(artifact, Artifact)
    assert (artifact.spec_digest, artifact.claim_name, artifact.path) == ("digest", "models", "tiny.gguf")


REFUSED = container(ended={"exitCode": 1, "message": '{"reason": "NotGguf", "message": "starts with PK"}'})
KILLED = container(ended={"exitCode": 137, "reason": "OOMKilled"})


@pytest.mark.parametrize(
    ("state", "pods", "expected"),
    [
        (None, [], Running()),
        (None, [pod(**REFUSED)], Running(Refusal("NotGguf", "starts with PK"))),
        (None, [pod(**unscheduled("no node"))], Running(Refusal("Unschedulable", "no node"))),
        ("Failed", [pod(**REFUSED)], Refusal("NotGguf", "starts with PK")),
        ("Failed", [], Refusal("CheckFailed", "Job job failed without a result")),
        ("Complete", [], Refusal("ResultLost", "Job job succeeded but its pod is gone")),
        ("Failed", [pod(**KILLED)], Refusal("CheckFailed", "the check ended with code 137: OOMKilled")),
    ],
)
def test_a_job_tells_how_far_it_is(state: str | None, pods: list[dict[str, Any]], expected: Any) -> None:
    assert read_result(job(state), pods, LOCATION, "digest") == expected


CONVERTED = Location("shimmy-model-tiny", "m.gguf", converted_from="tiny on volume models")


def test_a_step_before_the_last_can_refuse() -> None:
    refused_first = {
        "initContainerStatuses": REFUSED["containerStatuses"],
        **container(waiting={"reason": "PodInitializing"}),
    }
    assert read_result(job("Failed"), [pod(**refused_first)], CONVERTED, "d") == Refusal("NotGguf", "starts with PK")


def test_a_step_that_went_well_is_no_result() -> None:
    fetched = container(ended={"exitCode": 0, "message": '{"repository": "acme/tiny"}'})
    waits = {"initContainerStatuses": fetched["containerStatuses"], **container(waiting={"reason": "PodInitializing"})}
    assert read_result(job(None), [pod(**waits)], CONVERTED, "digest") == Running()


def test_a_conversion_that_dies_says_so() -> None:
    found = read_result(job("Failed"), [pod(**KILLED)], CONVERTED, "digest")
    assert found == Refusal("ConversionFailed", "the conversion ended with code 137: OOMKilled")


def test_a_conversion_in_progress_says_of_what() -> None:
    verdict = at_work(Running(), CONVERTED)
    assert (verdict.reason, verdict.message) == (
        "Converting",
        "Converting tiny on volume models onto volume shimmy-model-tiny",
    )


def test_an_adapter_that_was_checked_is_part_of_the_artifact() -> None:
    location = Location("models", "tiny.gguf", lora=VolumeSource("adapters", "acme.gguf"))
    lora = {"sha256": "c" * 64, "rank": 8, "sizeBytes": 1, "architecture": "llama", "modules": 2}
    ended = container(ended={"exitCode": 0, "message": json.dumps({**FOUND, "lora": lora})})
    artifact = read_result(job("Complete"), [pod(**ended)], location, "digest")
    assert isinstance(artifact, Artifact)
    assert artifact.lora == LoraArtifact(claim_name="adapters", path="acme.gguf", sha256="c" * 64, rank=8)
    assert usable(artifact).message.endswith("with a LoRA adapter of rank 8")


def test_a_refusal_says_what_to_do() -> None:
    verdict = refused(Refusal("ChecksumMismatch", "10 bytes, sha256 aa, not bb."), "shimmy-fetch-tiny")
    assert verdict.reason == "ChecksumMismatch"
    assert verdict.message == (
        "10 bytes, sha256 aa, not bb. Replace the file, or correct spec.backend.gguf.sha256. "
        "To check again at once: kubectl delete job shimmy-fetch-tiny"
    )


@pytest.mark.parametrize(("url", "reason"), [(None, "Checking"), ("https://example.org/x", "Fetching")])
def test_work_in_progress_says_what_it_is(url: str | None, reason: str) -> None:
    location = Location("models", "tiny.gguf", url)
    assert at_work(Running(), location).reason == reason
    held_up = at_work(Running(Refusal("Unschedulable", "no node")), location)
    assert held_up.reason == reason
    assert held_up.message.endswith("; Unschedulable: no node")


@pytest.mark.parametrize(
    ("found", "pods", "state", "message"),
    [
        (None, [], ModelState.WAITING, "why"),
        (deployment(0, 0), [], ModelState.AT_ZERO, ""),
        (deployment(1, 0), [], ModelState.LOADING, ""),
        (deployment(1, 0), [pod(**unscheduled("no GPU"))], ModelState.FAILED, "Unschedulable: no GPU"),
        (deployment(2, 1), [pod(**unscheduled("no GPU"))], ModelState.DEGRADED, "Unschedulable: no GPU"),
        (refusing(1, 0), [], ModelState.LOADING, "no pod may be made: exceeded quota"),
        (refusing(2, 1), [], ModelState.DEGRADED, "no pod may be made: exceeded quota"),
        (deployment(2, 2), [], ModelState.READY, ""),
        (deployment(1, 2), [], ModelState.READY, ""),
    ],
)
def test_a_model_of_an_instance_has_the_state_of_its_pods(
    found: dict[str, Any] | None, pods: list[dict[str, Any]], state: ModelState, message: str
) -> None:
    model = served_model("tiny", "why" if found is None else "", found, pods)
    assert (model.state, model.message) == (state, message)


NEW = deployment(1, 0)


@pytest.mark.parametrize(
    ("old", "pods", "state", "message"),
    [
        (deployment(1, 1), [], ModelState.DEGRADED, "waits for pods of the new placement"),
        (
            deployment(1, 1),
            [pod(**unscheduled("no GPU"))],
            ModelState.DEGRADED,
            "waits for pods of the new placement: Unschedulable: no GPU",
        ),
        (deployment(1, 0), [], ModelState.LOADING, "waits for pods of the new placement"),
        (None, [], ModelState.LOADING, "waits for pods"),
        (None, [pod(**unscheduled("no GPU"))], ModelState.FAILED, "waits for pods: Unschedulable: no GPU"),
    ],
)
def test_a_model_that_moves_has_the_state_of_the_pods_that_still_serve_it(
    old: dict[str, Any] | None, pods: list[dict[str, Any]], state: ModelState, message: str
) -> None:
    model = moving_model("tiny", "", NEW, pods, old)
    assert (model.state, model.message, model.replicas) == (state, message, 1)


@pytest.mark.parametrize(
    ("generation", "counts", "expected"),
    [(2, (2, 2, 2), True), (1, (2, 2, 2), False), (2, (3, 2, 2), False), (2, (2, 1, 2), False), (2, (2, 2, 1), False)],
)
def test_a_deployment_is_settled_when_all_its_pods_are_of_the_newest_template_and_ready(
    generation: int, counts: tuple[int, int, int], expected: bool
) -> None:
    found = dict(zip(("replicas", "updatedReplicas", "readyReplicas"), counts, strict=True))
    spec = {"metadata": {"generation": 2}, "spec": {"replicas": 2}}
    assert settled({**spec, "status": {"observedGeneration": generation, **found}}) is expected


@pytest.mark.parametrize(
    ("states", "ready", "reason"),
    [
        ([ModelState.READY, ModelState.READY], True, "Serving"),
        ([ModelState.READY, ModelState.AT_ZERO], True, "Serving"),
        ([ModelState.AT_ZERO], True, "AtZero"),
        ([ModelState.READY, ModelState.DEGRADED], True, "Degraded"),
        ([ModelState.READY, ModelState.LOADING], False, "Loading"),
        ([ModelState.WAITING, ModelState.LOADING], False, "Waiting"),
        ([ModelState.READY, ModelState.FAILED], False, "ModelFailed"),
    ],
)
def test_an_instance_is_as_ready_as_the_model_that_is_worst_off(
    states: list[ModelState], ready: bool, reason: str
) -> None:
    models = [ServedModel(name=f"m{index}", state=state) for index, state in enumerate(states)]
    verdict = instance_verdict(models)
    assert (verdict.ready, verdict.reason) == (ready, reason)


def test_the_scale_subresource_selects_the_pods_of_one_instance() -> None:
    models = [ServedModel(name="tiny", state=ModelState.READY, replicas=2, ready_replicas=2)]
    status = instance_status(
        "chat", models, Counts(2, 2), "http://x", ShimmyInstanceStatus(), 3, "2026-01-01T00:00:00Z"
    )
    assert status.selector == "app.kubernetes.io/component=engine,shimmy.dev/instance=chat"
    assert (status.replicas, status.ready_replicas, status.observed_generation) == (2, 2, 3)


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = ready_condition(Verdict(False, "Loading", ""), (), 1, "2026-01-01T00:00:00Z")
    same = ready_condition(Verdict(False, "Waiting", ""), (first,), 2, "2026-01-02T00:00:00Z")
    other = ready_condition(Verdict(True, "Serving", ""), (same,), 2, "2026-01-03T00:00:00Z")
    assert same.last_transition_time == "2026-01-01T00:00:00Z"
    assert other.last_transition_time == "2026-01-03T00:00:00Z"
