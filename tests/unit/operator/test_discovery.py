"""Discovery against a cluster in memory: what goes wrong on the way, and what is told of it."""

import base64
import json
from datetime import timedelta
from typing import Any, Final

import pytest
from tests.unit.operator.bench import NS, TENANT, Bench

from shimmy_api import names
from shimmy_api.discovery import Discovered, DiscoveryReport, skipped
from shimmy_api.handover import pack
from shimmy_api.tenant import DiscoverySource
from shimmy_operator.cluster.errors import ConflictError, ForbiddenError, InvalidError
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.render.discovery import revision_of
from shimmy_operator.status.discovery import source_status

SOURCE: Final = {"name": "shared", "source": "pvc://models"}
CONFIG_MAP: Final = Reference("ConfigMap", NS, names.DISCOVERY_ACCESS)
TOY: Final = Reference("ShimmyModel", NS, "toy")
REVISION: Final = revision_of(DiscoverySource.model_validate(SOURCE))


def report(*models: str, revision: str = REVISION, **fields: Any) -> DiscoveryReport:
    found = tuple(Discovered(name=m, kind="gguf", path=f"/models/{m}", source=f"pvc://models/{m}") for m in models)
    return DiscoveryReport(revision=revision, finished_at="2026-01-01T00:10:00Z", models=found, **fields)


class Discovering(Bench):
    """With a tenant that discovers, on a claim that is there."""

    async def hand_over(self, found: DiscoveryReport) -> None:
        data = {"shared": base64.b64encode(pack(found)).decode()}
        self.cluster.put({**self.cluster.objects[CONFIG_MAP], "binaryData": data})
        await self.run(TENANT)

    def discovered(self) -> tuple[str, str]:
        conditions = self.cluster.objects[TENANT]["status"]["conditions"]
        condition = next(c for c in conditions if c["type"] == "Discovered")
        return condition["reason"], condition["message"]

    def jobs(self) -> list[Manifest]:
        return [manifest for key, manifest in self.cluster.objects.items() if key.kind == "Job"]

    def end_job(self, message: str | None, created: str = "2026-01-01T00:00:00Z") -> None:
        (job,) = self.jobs()
        job["metadata"]["creationTimestamp"] = created
        done = {"conditions": [{"type": "Failed", "status": "True"}]}
        self.cluster.put({**job, "status": done})
        if message is not None:
            state = {"terminated": {"exitCode": 1, "message": message}}
            self.put_pod({"containerStatuses": [{"ready": False, "state": state}]})

    def put_pod(self, status: Manifest) -> None:
        (job,) = self.jobs()
        owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
        labels = job["spec"]["template"]["metadata"]["labels"]
        metadata = {"name": "pod", "namespace": NS, "labels": labels, "ownerReferences": [owner]}
        self.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})


@pytest.fixture
async def bench() -> Discovering:
    bench = Discovering()
    bench.put(TENANT, {"discovery": {"sources": [SOURCE]}})
    await bench.run(TENANT)
    metadata = {"name": "models", "namespace": NS}
    bench.cluster.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {}})
    await bench.run(TENANT)
    return bench


async def test_a_tenant_is_ready_whatever_its_discovery_does(bench: Discovering) -> None:
    assert bench.ready(TENANT) == ("True", "Provisioned")
    assert bench.discovered()[0] == "Discovering"


async def test_a_source_is_looked_through_at_once_and_again_by_schedule(bench: Discovering) -> None:
    assert [job["metadata"]["name"] for job in bench.jobs()] == [f"shimmy-discover-shared-{REVISION[:8]}"]
    bench.child("CronJob", "shimmy-discover-shared")
    bench.cluster.drop(Reference("Job", NS, f"shimmy-discover-shared-{REVISION[:8]}"))
    await bench.hand_over(report("toy"))
    assert bench.jobs() == []
    assert bench.discovered() == ("Discovered", "shared: 1 of 1 are ShimmyModels")


async def test_a_source_that_changes_is_looked_through_anew_and_the_old_report_says_nothing(bench: Discovering) -> None:
    await bench.hand_over(report("toy", revision="older"))
    assert bench.discovered()[0] == "Discovering"
    assert TOY not in bench.cluster.objects
    bench.put(TENANT, {"discovery": {"sources": [{**SOURCE, "source": "pvc://models/new"}]}})
    await bench.run(TENANT)
    (job,) = bench.jobs()
    assert "/models/new" in job["spec"]["template"]["spec"]["containers"][0]["args"]


async def test_reconciling_again_writes_nothing(bench: Discovering) -> None:
    await bench.hand_over(report("toy"))
    await bench.run(TENANT)
    bench.cluster.writes.clear()
    await bench.run(TENANT)
    assert bench.cluster.writes == []


@pytest.mark.parametrize(
    ("message", "reason", "part"),
    [
        (json.dumps({"reason": "FolderMissing", "message": "no /models/llm"}), "FolderMissing", "no /models/llm"),
        (json.dumps({"reason": "NotDelivered", "message": "403"}), "NotDelivered", "403"),
        (json.dumps({"reason": "Anything", "message": "odd"}), "DiscoveryFailed", "odd"),
        ("Traceback", "DiscoveryFailed", "Traceback"),
        (None, "DiscoveryFailed", "without a result"),
    ],
)
async def test_a_job_that_fails_is_told(bench: Discovering, message: str | None, reason: str, part: str) -> None:
    bench.end_job(message)
    await bench.run(TENANT)
    assert bench.discovered()[0] == reason
    assert part in bench.discovered()[1]


@pytest.mark.parametrize(
    ("created", "reason"), [("2026-01-01T00:00:00Z", "Discovered"), ("2026-01-01T00:20:00Z", "DiscoveryFailed")]
)
async def test_a_failure_counts_until_a_later_run_succeeds(bench: Discovering, created: str, reason: str) -> None:
    bench.end_job("Traceback", created)
    await bench.hand_over(report("toy"))
    assert bench.discovered()[0] == reason
    assert TOY in bench.cluster.objects


async def test_what_holds_up_a_pod_is_told(bench: Discovering) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    bench.put_pod({"conditions": [condition]})
    bench.time += timedelta(seconds=10)  # messages of one state are not written more often
    await bench.run(TENANT)
    assert bench.discovered() == ("Discovering", "shared: looking through the folder; Unschedulable: no node")


async def test_a_schedule_that_the_api_server_refuses_is_told_and_stops_nothing_else(
    bench: Discovering, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.cluster.apply

    async def refuse(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "CronJob":
            raise InvalidError("422: unknown time zone Mars/Olympus")
        return await real(manifest)

    async def refuse_spec(manifest: Manifest) -> Manifest:
        return await refuse(manifest)

    monkeypatch.setattr(bench.cluster, "apply", refuse)
    monkeypatch.setattr(bench.cluster, "replace_spec", refuse_spec)
    schedule = {"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}
    bench.put(TENANT, {"discovery": {"sources": [SOURCE], "schedule": schedule}})
    await bench.hand_over(report("toy"))
    assert bench.ready(TENANT) == ("True", "Provisioned")
    assert bench.discovered()[0] == "ScheduleInvalid"
    assert TOY in bench.cluster.objects


async def test_a_model_that_the_api_server_refuses_is_told_and_stops_no_other(
    bench: Discovering, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.cluster.create

    async def refuse(manifest: Manifest) -> Manifest:
        if manifest["metadata"]["name"] == "big":
            raise ForbiddenError("403: exceeded quota")
        return await real(manifest)

    monkeypatch.setattr(bench.cluster, "create", refuse)
    await bench.hand_over(report("big", "toy"))
    assert TOY in bench.cluster.objects
    assert bench.discovered() == ("Forbidden", "shared: big: 403: exceeded quota")


def test_only_the_first_reasons_are_in_the_status() -> None:
    reasons = tuple(skipped(f"/models/{number}", "Damaged", "x" * 400) for number in range(50))
    source = DiscoverySource.model_validate(SOURCE)
    status = source_status(source, report("toy", skipped=reasons, omitted=7), 1, [])
    assert (status.found, status.models, status.skipped) == (1, 1, 57)
    assert len(status.skips) == 10
    assert len(status.skips[0].message) == 300


async def test_rights_that_are_not_needed_any_more_are_taken_away(bench: Discovering) -> None:
    await bench.hand_over(report("toy"))
    bench.put(TENANT, {})
    await bench.run(TENANT)
    kinds = bench.kinds()
    assert not {"ConfigMap", "RoleBinding", "CronJob", "Job"} & {*kinds}
    assert bench.child("NetworkPolicy", names.DISCOVERY_ACCESS)["spec"]["egress"] == []
    assert TOY in bench.cluster.objects
    assert [c["type"] for c in bench.cluster.objects[TENANT]["status"]["conditions"]] == ["Ready"]


MOVED: Final = Discovered(name="toy", kind="gguf", path="/models/new/toy", source="pvc://models/new/toy")


@pytest.mark.parametrize("found", [report(), report().model_copy(update={"models": (MOVED,)})], ids=["gone", "moved"])
async def test_a_model_that_its_user_makes_their_own_in_this_moment_is_left_alone(
    bench: Discovering, found: DiscoveryReport
) -> None:
    await bench.hand_over(report("toy"))
    seen = bench.cluster.objects[TOY]
    bench.cluster.put({**seen, "metadata": {**seen["metadata"], "labels": {}}})
    bench.cluster.store.remove(bench.cluster.objects[TOY])
    bench.cluster.store.put(seen)  # the watch has not told of it yet
    with pytest.raises(ConflictError):
        await bench.hand_over(found)
    assert bench.cluster.objects[TOY]["metadata"]["labels"] == {}
