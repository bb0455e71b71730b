"""The engine benchmark's verdict finds what must not be: without these a load could pass whatever happened."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from devkit.bench.engine.asking import Seen, Wish
from devkit.bench.engine.verdict import Evidence, Expected, faults
from devkit.bench.engine.watch import slope
from shimmy_api.usage import UsageRecord

STREAM = Wish("a", "say a", 10)
JSON = Wish("b", "say b", 10, stream=False, http2=False)
EXPECTED = {"say a": Expected("one two", "stop", 7, 2), "say b": Expected("three", "length", 8, 1)}
PRODUCED = {"say a": [2], "say b": [1]}


def answered(wish: Wish, **changes: Any) -> Seen:
    expected = EXPECTED[wish.prompt]
    seen = Seen(
        wish,
        f"{wish.name}.1",
        status=200,
        fields={"x-request-id": f"{wish.name}.1"},
        parts=[expected.text],
        reason=expected.reason,
        usage=expected.counts,
        counted=expected.counts,
        done=True,
    )
    for name, value in changes.items():
        setattr(seen, name, value)
    return seen


def record(seq: int, request_id: str, prompt: int, completion: int, outcome: Any = "completed") -> UsageRecord:
    return UsageRecord(
        seq=seq,
        request_id=request_id,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        tenant="",
        key_id="",
        namespace="",
        model="m",
        pod="",
        prompt_tokens=prompt,
        completion_tokens=completion,
        outcome=outcome,
        queue_seconds=0,
        seconds=1,
    )


A, B = record(1, "a.1", 7, 2), record(2, "b.1", 8, 1)
GOOD = Evidence([answered(STREAM), answered(JSON)], [A, B], EXPECTED, PRODUCED)


def test_a_clean_load_passes() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("evidence", "fault"),
    [
        (replace(GOOD, records=[A]), "b.1: 1 generations in the engine, 0 in the journal"),
        (replace(GOOD, records=[A, B, record(3, "a.1", 7, 2)]), "a.1: 2 times in the journal"),
        (replace(GOOD, records=[A, B, record(3, "c.1", 7, 2)]), "c.1: in the journal, but nobody asked it"),
        (replace(GOOD, records=[A, record(3, "b.1", 8, 1)]), "the journal's sequence numbers have gaps or repetitions"),
        (replace(GOOD, records=[A, record(2, "b.1", 8, 2)]), "b.1: the journal says completed (8, 2)"),
        (replace(GOOD, records=[A, record(2, "b.1", 8, 1, "failed")]), "b.1: the journal says failed (8, 1)"),
        (replace(GOOD, seen=[answered(STREAM, parts=["three"]), answered(JSON)]), "a.1: text of another answer"),
        (replace(GOOD, seen=[answered(STREAM, parts=["one"]), answered(JSON)]), "a.1: 3 of 7 characters of its answer"),
        (replace(GOOD, seen=[answered(STREAM, reason="length"), answered(JSON)]), "a.1: finish reason length"),
        (replace(GOOD, seen=[answered(STREAM, usage=(7, 3)), answered(JSON)]), "a.1: usage (7, 3), not (7, 2)"),
        (replace(GOOD, seen=[answered(STREAM, counted=None), answered(JSON)]), "a.1: headers or trailers say None"),
        (
            replace(GOOD, seen=[answered(STREAM, fields={}), answered(JSON)]),
            "a.1: the answer carries another request's",
        ),
        (replace(GOOD, seen=[answered(STREAM, broken="cut"), answered(JSON)]), "a.1: neither an answer nor an error"),
        (
            replace(GOOD, seen=[answered(STREAM, code="engine_failed"), answered(JSON)]),
            "a.1: failed with engine_failed",
        ),
        (replace(GOOD, produced={"say a": [2, 2], "say b": [1]}), "a.1: 2 generations in the engine, 1 in the journal"),
        (replace(GOOD, produced={"say a": [1], "say b": [1]}), "a.1: the engine produced 1 tokens"),
    ],
)
def test_each_fault_is_found(evidence: Evidence, fault: str) -> None:
    assert any(found.startswith(fault) for found in faults(evidence)), faults(evidence)


def test_a_client_that_left_is_accounted_for_or_was_never_served() -> None:
    left = answered(STREAM, done=False, left=True, parts=["one"], usage=None, counted=None)
    in_line = Seen(JSON, "b.1", left=True)
    cancelled = record(1, "a.1", 7, 2, "cancelled")
    assert faults(Evidence([left, in_line], [cancelled], EXPECTED, {"say a": [2]})) == []
    assert faults(Evidence([left, in_line], [], EXPECTED, {})) == [
        "a.1: text came, but the journal knows nothing of it"
    ]


def test_a_refusal_is_clean_and_costs_nothing() -> None:
    fields = {"x-request-id": "a.1", "retry-after": "1"}
    refused = Seen(STREAM, "a.1", status=429, code="queue_full", fields=fields)
    assert faults(Evidence([refused], [], EXPECTED, {})) == []
    assert faults(Evidence([refused], [record(1, "a.1", 7, 0)], EXPECTED, {})) == ["a.1: refused, but in the journal"]
    refused.fields = {"x-request-id": "a.1"}
    assert faults(Evidence([refused], [], EXPECTED, {})) == ["a.1: queue_full without Retry-After"]


def test_failures_are_faults_unless_the_engine_was_killed() -> None:
    failed = answered(STREAM, done=False, code="engine_failed", parts=["one"], usage=None, counted=None)
    evidence = Evidence([failed], [record(1, "a.1", 7, 1, "failed")], EXPECTED, {"say a": [2]})
    assert faults(evidence) == ["a.1: failed with engine_failed"]
    assert faults(replace(evidence, failures=True)) == []


def test_growth_is_the_slope_of_the_line() -> None:
    assert slope([(0, 10), (1, 12), (2, 14)]) == pytest.approx(2)
    assert slope([(1, 5)]) == 0
