import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devkit import audit

OPERATOR = "system:serviceaccount:shimmy-system:shimmy-operator"


def event(verb: str, version: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/a/deployments/m?fieldManager=shimmy-operator",
        "verb": verb,
        "user": {"username": OPERATOR},
        "objectRef": {"apiGroup": "apps", "resource": "deployments", "namespace": "a", "name": "m"},
        "responseStatus": {"code": 200},
        "responseObject": {"metadata": {"uid": "u1", "resourceVersion": version}} if version else {},
        "stageTimestamp": "2026-11-24T10:00:00.000001Z",
    } | changes


def log(folder: Path, *events: dict[str, Any]) -> Path:
    path = folder / "audit.jsonl"
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return path


def test_an_apply_that_changes_nothing_is_a_request_but_no_write(tmp_path: Path) -> None:
    path = log(tmp_path, event("create", "5"), event("patch", "5"), event("patch", "6"), event("patch", "6"))

    assert [w.resource_version for w in audit.writes(path)] == ["5", "6"]
    assert len(audit.requests(path)) == 4


def test_what_others_wrote_decides_whether_an_apply_changed_anything(tmp_path: Path) -> None:
    other = {"user": {"username": "system:apiserver"}}
    path = log(tmp_path, event("create", "5", **other), event("patch", "5"))

    assert audit.writes(path, user=OPERATOR) == []


def test_reads_events_dry_runs_and_refusals_are_no_writes(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        event("get", "5"),
        event("create", "6", objectRef={"resource": "events", "apiGroup": "events.k8s.io"}),
        event("patch", "7", requestURI="/apis/apps/v1/namespaces/a/deployments/m?dryRun=All"),
        event("patch", "", responseStatus={"code": 409}),
        event("patch", "8", stage="RequestReceived"),
    )

    assert audit.requests(path) == []


def test_questions_to_the_api_server_are_no_writes(tmp_path: Path) -> None:
    review = {"apiGroup": "authorization.k8s.io", "resource": "subjectaccessreviews"}
    token = {"resource": "serviceaccounts", "subresource": "token", "namespace": "a", "name": "s"}
    path = log(tmp_path, event("create", objectRef=review), event("create", objectRef=token))

    assert audit.writes(path) == []


def test_a_secret_counts_though_its_answer_is_not_logged(tmp_path: Path) -> None:
    secret = {"resource": "secrets", "namespace": "a", "name": "s"}
    path = log(tmp_path, event("patch", objectRef=secret), event("patch", objectRef=secret))

    assert len(audit.writes(path)) == 2


def test_a_deletion_is_a_write(tmp_path: Path) -> None:
    path = log(tmp_path, event("create", "5"), event("delete", "5"))

    assert [w.verb for w in audit.writes(path)] == ["create", "delete"]


def test_only_what_came_at_or_after_the_given_time_is_counted(tmp_path: Path) -> None:
    path = log(tmp_path, event("create", "5"), event("patch", "6", stageTimestamp="2026-11-24T11:00:00Z"))

    assert [w.resource_version for w in audit.writes(path, since=datetime(2026, 11, 24, 11, tzinfo=UTC))] == ["6"]


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    path = log(tmp_path, event("create", "5"))
    path.write_text(path.read_text() + '{"stage": "Resp')

    assert len(audit.writes(path)) == 1
