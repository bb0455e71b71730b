"""Models that are found by themselves. The test plays the Job: it writes what the Job would have found."""

import base64
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.api import objects, process
from tests.api.test_writes import settle

from devkit.audit import requests
from devkit.cluster import Cluster
from devkit.cluster.client import ApiError
from devkit.waiting import until
from shimmy_api import names
from shimmy_api.discovery import Discovered, DiscoveryReport, ModelKind, skipped
from shimmy_api.handover import pack
from shimmy_api.naming import dns_label
from shimmy_engine.discovery.delivery import ApiServer, NotDeliveredError, deliver

Manifest = dict[str, Any]
_SECONDS: Final = 20.0
"""Longer than the operator puts off writing what changes within one state."""


class Tenant:
    """A tenant with one source of discovery on the claim `models`."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.namespace = f"shimmy-{name}"
        source = {"name": "shared", "source": "pvc://models/llm"}
        self.manifest = objects.tenant(name, discovery={"sources": [source]})
        objects.create(cluster, self.manifest)
        objects.wait_reason(cluster, self.manifest, "ClaimNotFound")
        objects.create(cluster, objects.claim(self.namespace, "models"))
        objects.wait_reason(cluster, self.manifest, "Discovering")

    @property
    def config_map(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{names.DISCOVERY_ACCESS}"

    @property
    def models(self) -> str:
        return f"{objects.GROUP}/namespaces/{self.namespace}/shimmymodels"

    def jobs(self) -> list[Manifest]:
        found: list[Manifest] = self.cluster.client.json(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")["items"]
        return [job for job in found if job["metadata"]["labels"][names.LABEL_COMPONENT] == names.DISCOVERY]

    def revision(self) -> str:
        (job,) = self.jobs()
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        return str(next(a for a in arguments if a.startswith("--revision=")).removeprefix("--revision="))

    def report(self, *paths: str, complete: bool = True, minute: int = 0) -> None:
        """Find these files, and a damaged one."""
        models = tuple(
            Discovered(
                name=dns_label(Path(path).stem),
                kind="gguf",
                path=f"/models/llm/{path}",
                source=f"pvc://models/llm/{path}",
                personal="personal" in path,
            )
            for path in paths
        )
        report = DiscoveryReport(
            revision=self.revision(),
            finished_at=f"2026-01-01T00:{minute:02}:00Z",
            models=models,
            skipped=(skipped("/models/llm/cut.gguf", "Truncated", "the file is too short"),),
            complete=complete,
        )
        self.hand_over(pack(report))

    def hand_over(self, packed: bytes) -> None:
        entry = {"binaryData": {"shared": base64.b64encode(packed).decode()}}
        objects.merge(self.cluster, self.config_map, entry)

    def found(self) -> dict[str, str]:
        """The ShimmyModels that there are: name and file."""
        prefix = len("pvc://models/llm/")
        return {name: spec["backend"]["gguf"]["source"][prefix:] for name, spec in self.specs().items()}

    def specs(self) -> dict[str, Manifest]:
        items = self.cluster.client.json(self.models)["items"]
        return {item["metadata"]["name"]: item["spec"] for item in items}

    def wait(self, *models: str) -> None:
        until(lambda: {*self.found()} == {*models}, f"the models are {models}, not {self.found()}", seconds=_SECONDS)

    def remove(self) -> None:
        """Leave nothing that an operator of another test would write to."""
        self.cluster.client.json(objects.path(self.manifest), "DELETE")
        for plural in ("shimmyinstances", "shimmymodels"):
            self.cluster.client.json(f"{objects.GROUP}/namespaces/{self.namespace}/{plural}", "DELETE")

    def status(self) -> Manifest:
        found: Manifest = self.cluster.client.json(objects.path(self.manifest))["status"]["discovery"][0]
        return found

    def wait_status(self, **fields: Any) -> Manifest:
        until(lambda: fields.items() <= self.status().items(), f"the status has {fields}", seconds=_SECONDS)
        return self.status()


@pytest.fixture
def tenant(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    made = Tenant(cluster, f"d-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}")
    yield made
    made.remove()


def test_what_is_found_becomes_models_that_are_checked(tenant: Tenant) -> None:
    tenant.report("toy.gguf", "personal-notes.gguf")
    tenant.wait("toy", "personal-notes")
    objects.wait_reason(tenant.cluster, tenant.manifest, "Discovered")
    model = tenant.cluster.client.json(f"{tenant.models}/personal-notes")
    assert model["spec"]["personal"] is True
    assert model["metadata"]["labels"][names.LABEL_DISCOVERED_BY] == "shared"
    status = tenant.wait_status(found=2, models=2, skipped=1, lastRun="2026-01-01T00:00:00Z")
    assert status["skips"] == [
        {"path": "/models/llm/cut.gguf", "reason": "Truncated", "message": "the file is too short"}
    ]
    objects.finish_check(tenant.cluster, tenant.namespace, "toy", objects.RESULT)
    objects.wait_reason(tenant.cluster, objects.model(tenant.namespace, "toy", ""), "Checked")
    events = tenant.cluster.client.json("/apis/events.k8s.io/v1/namespaces/default/events")["items"]
    notes = {e["reason"]: e["note"] for e in events if e["regarding"]["name"] == tenant.manifest["metadata"]["name"]}
    assert notes["ModelsChanged"] == "discovery added toy, personal-notes"


def test_adapters_become_models_with_their_bases(tenant: Tenant) -> None:
    prefix = "pvc://models/llm"
    bases: tuple[tuple[str, ModelKind, str | None], ...] = (
        ("tiny", "huggingFace", None),
        ("voice", "peft", f"{prefix}/tiny"),
        ("tone.gguf", "ggufAdapter", f"{prefix}/toy.gguf"),
        ("lost", "peft", None),
    )
    models = tuple(
        Discovered(
            name=dns_label(Path(path).stem),
            kind=kind,
            path=f"/models/llm/{path}",
            source=f"{prefix}/{path}",
            personal=kind != "huggingFace",
            base_source=base,
            parameters=1_000_000,
        )
        for path, kind, base in bases
    )
    report = DiscoveryReport(revision=tenant.revision(), finished_at="2026-01-01T00:00:00Z", models=models)
    tenant.hand_over(pack(report))
    until(lambda: len(tenant.specs()) == 3, "there are three models", seconds=_SECONDS)
    specs = tenant.specs()
    assert specs["tiny"]["backend"]["huggingFace"]["baseModel"] == f"{prefix}/tiny"
    assert specs["voice"]["backend"]["huggingFace"]["peftSource"] == f"{prefix}/voice"
    assert specs["tone"]["backend"]["gguf"]["loraSource"] == f"{prefix}/tone.gguf"
    assert {name: spec["personal"] for name, spec in specs.items()} == {"tiny": False, "voice": True, "tone": True}
    status = tenant.wait_status(found=4, models=3, skipped=1)
    assert [skip["reason"] for skip in status["skips"]] == ["BaseNotFound"]


def test_a_file_that_moves_is_updated_in_place_and_what_users_set_stays(tenant: Tenant) -> None:
    tenant.report("toy.gguf")
    tenant.wait("toy")
    objects.merge(tenant.cluster, f"{tenant.models}/toy", {"spec": {"aliases": ["gpt-4o"]}})
    before = tenant.cluster.client.json(f"{tenant.models}/toy")
    tenant.report("new/toy.gguf", minute=1)
    until(lambda: tenant.found() == {"toy": "new/toy.gguf"}, "the model follows its file", seconds=_SECONDS)
    after = tenant.cluster.client.json(f"{tenant.models}/toy")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["aliases"] == ["gpt-4o"]


def test_a_model_whose_file_is_gone_is_retired_but_not_while_something_may_be_unseen(tenant: Tenant) -> None:
    tenant.report("toy.gguf", "old.gguf")
    tenant.wait("toy", "old")
    tenant.report("toy.gguf", complete=False, minute=1)
    objects.wait_reason(tenant.cluster, tenant.manifest, "Incomplete")
    assert {*tenant.found()} == {"toy", "old"}
    tenant.report("toy.gguf", minute=2)
    tenant.wait("toy")
    objects.wait_reason(tenant.cluster, tenant.manifest, "Discovered")


def test_a_model_that_is_served_is_retired_only_when_it_is_served_no_more(tenant: Tenant) -> None:
    tenant.report("toy.gguf")
    tenant.wait("toy")
    chat = objects.create(tenant.cluster, objects.instance(tenant.namespace, "chat", "toy"))
    objects.wait_reason(tenant.cluster, chat, "Waiting")
    tenant.report(minute=1)
    objects.wait_reason(tenant.cluster, tenant.manifest, "InUse")
    assert {*tenant.found()} == {"toy"}
    tenant.cluster.client.json(objects.path(chat), "DELETE")
    tenant.wait()


def test_a_model_made_by_hand_is_never_touched(tenant: Tenant) -> None:
    by_name = objects.create(tenant.cluster, objects.model(tenant.namespace, "toy", "pvc://models/llm/by-hand.gguf"))
    by_file = objects.create(tenant.cluster, objects.model(tenant.namespace, "mine", "pvc://models/llm/other.gguf"))
    tenant.report("toy.gguf", "other.gguf", "third.gguf")
    tenant.wait("toy", "mine", "third")
    objects.wait_reason(tenant.cluster, tenant.manifest, "NameTaken")
    for manifest in (by_name, by_file):
        after = tenant.cluster.client.json(objects.path(manifest))
        assert after["metadata"]["generation"] == 1
        assert after["spec"] == manifest["spec"]
        assert "labels" not in after["metadata"]
    tenant.report(minute=1)
    tenant.wait("toy", "mine")
    tenant.report("toy.gguf", minute=2)
    tenant.cluster.client.json(objects.path(by_name), "DELETE")
    until(lambda: tenant.found().get("toy") == "toy.gguf", "the name is free", seconds=_SECONDS)


def test_a_model_that_loses_the_label_is_its_users_own(tenant: Tenant) -> None:
    tenant.report("toy.gguf", "old.gguf")
    tenant.wait("toy", "old")
    objects.merge(tenant.cluster, f"{tenant.models}/old", {"metadata": {"labels": {names.LABEL_DISCOVERED_BY: None}}})
    tenant.report("toy.gguf", minute=1)
    tenant.wait_status(models=1, lastRun="2026-01-01T00:01:00Z")
    assert {*tenant.found()} == {"toy", "old"}


def test_a_deleted_model_whose_file_is_there_comes_back(tenant: Tenant) -> None:
    tenant.report("toy.gguf")
    tenant.wait("toy")
    uid = tenant.cluster.client.json(f"{tenant.models}/toy")["metadata"]["uid"]
    tenant.cluster.client.json(f"{tenant.models}/toy", "DELETE")
    until(
        lambda: (
            (tenant.cluster.client.find(f"{tenant.models}/toy") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid
        ),
        "the model is back",
        seconds=_SECONDS,
    )


@pytest.mark.parametrize(
    "packed",
    [b"not gzip", gzip.compress(b"[]"), gzip.compress(b'{"models": []}'), gzip.compress(b" " * (16 << 20))],
    ids=["not-gzip", "no-object", "no-report", "too-long"],
)
def test_a_report_that_is_none_changes_nothing_and_is_told(tenant: Tenant, packed: bytes) -> None:
    tenant.hand_over(packed)
    objects.wait_reason(tenant.cluster, tenant.manifest, "ResultInvalid")
    tenant.report("toy.gguf")
    tenant.wait("toy")


def test_a_report_cannot_name_what_lies_outside_of_its_source(tenant: Tenant) -> None:
    outside = ("pvc://models/other/a.gguf", "pvc://secrets/b.gguf", "pvc://models/llm/../c.gguf", "https://x/d.gguf")
    models = tuple(
        Discovered(name=f"m-{number}", kind="gguf", path=source, source=source) for number, source in enumerate(outside)
    )
    report = DiscoveryReport(revision=tenant.revision(), finished_at="2026-01-01T00:00:00Z", models=models)
    tenant.hand_over(pack(report))
    status = tenant.wait_status(found=4, models=0, skipped=4)
    assert {skip["reason"] for skip in status["skips"]} == {"Outside"}
    assert tenant.found() == {}


def test_when_discovery_is_taken_away_its_rights_go_and_its_models_stay(tenant: Tenant) -> None:
    tenant.report("toy.gguf")
    tenant.wait("toy")
    objects.merge(tenant.cluster, objects.path(tenant.manifest), {"spec": {"discovery": None}})
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{tenant.namespace}/rolebindings"
    for path in (tenant.config_map, f"{bindings}/{names.DISCOVERY_ACCESS}"):
        until(lambda path=path: tenant.cluster.client.find(path) is None, f"{path} is gone", seconds=_SECONDS)  # type: ignore[misc]
    policies = f"/apis/networking.k8s.io/v1/namespaces/{tenant.namespace}/networkpolicies"
    until(
        lambda: not tenant.cluster.client.json(f"{policies}/{names.DISCOVERY_ACCESS}")["spec"].get("egress"),
        "the way to the API server is closed",
        seconds=_SECONDS,
    )
    assert {*tenant.found()} == {"toy"}


def test_a_discovery_pods_account_may_patch_its_config_map_and_nothing_else(tenant: Tenant) -> None:
    accounts = f"/api/v1/namespaces/{tenant.namespace}/serviceaccounts/{names.DISCOVERY_ACCESS}"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": None}}
    token = tenant.cluster.client.json(f"{accounts}/token", "POST", asked)["status"]["token"]

    def server(namespace: str) -> ApiServer:
        return ApiServer(tenant.cluster.server, namespace, token, Path(tenant.cluster.layout.certificate("ca")))

    report = DiscoveryReport(revision=tenant.revision(), finished_at="2026-01-01T00:00:00Z")
    deliver(pack(report), names.DISCOVERY_ACCESS, "shared", server(tenant.namespace))
    tenant.wait_status(lastRun="2026-01-01T00:00:00Z")
    for name, namespace in (("other", tenant.namespace), (names.DISCOVERY_ACCESS, "default")):
        with pytest.raises(NotDeliveredError, match="403"):
            deliver(pack(report), name, "shared", server(namespace))
    user = f"system:serviceaccount:{tenant.namespace}:{names.DISCOVERY_ACCESS}"
    client = tenant.cluster.user_client(user, ("system:serviceaccounts", "system:authenticated"))
    for path in (tenant.config_map, tenant.models, f"/api/v1/namespaces/{tenant.namespace}/secrets"):
        with pytest.raises(ApiError) as refusal:
            client.json(path)
        assert refusal.value.code == 403


def test_the_operator_reads_no_other_config_map_and_binds_no_other_role(installed: Cluster) -> None:
    client = installed.user_client(process.USER, ("system:authenticated",))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": names.DISCOVERY_ACCESS, "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }
    bind = f"{objects.path(binding)}?fieldManager=test&force=true"
    for path, method, body, content_type in (
        ("/api/v1/configmaps", "GET", None, ""),
        ("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication", "GET", None, ""),
        (bind, "PATCH", binding, "application/apply-patch+yaml"),
    ):
        with pytest.raises(ApiError) as refusal:
            client.json(path, method, body, content_type or "application/json")
        assert refusal.value.code == 403
    allowed = {**binding, "roleRef": {**binding["roleRef"], "name": names.DISCOVERY_ACCESS}}  # type: ignore[dict-item]
    client.json(f"{bind}&dryRun=All", "PATCH", allowed, "application/apply-patch+yaml")


def test_a_restart_writes_nothing(installed: Cluster, tmp_path: Path) -> None:
    flags = ("--resync-seconds", "2")
    with process.running(installed, tmp_path / "operator.log", *flags):
        tenant = Tenant(installed, "rediscovered")
        tenant.report("toy.gguf")
        tenant.wait("toy")
        tenant.wait_status(models=1)
        since = settle(installed)
    with process.running(installed, tmp_path / "operator.log", *flags):
        settle(installed)
        assert requests(installed.audit_log, process.USER, since) == []
    tenant.remove()
