"""What the metrics server reads and writes is what shimmy_api/load.py says."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shimmy_api import load
from shimmy_meter import wire

SAYS_NOTHING = {"title", "description", "default", "$defs"}
"""Keys of a schema. A default shows where a field is absent."""


def meaning(schema: Any) -> Any:
    if isinstance(schema, dict):
        kept = {key: meaning(value) for key, value in schema.items() if key not in SAYS_NOTHING}
        return {key: value for key, value in kept.items() if (key, value) != ("required", [])}
    return [meaning(value) for value in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize(("own", "api"), [(wire.LoadReport, load.LoadReport), (wire.LoadTotals, load.LoadTotals)])
def test_both_have_the_same_fields_and_bounds(own: type[msgspec.Struct], api: type[BaseModel]) -> None:
    found, said = msgspec.json.schema(own)["$defs"], api.model_json_schema(by_alias=True)
    assert meaning(found) == meaning({api.__name__: said, **said["$defs"]})


COUNTS = st.integers(0, 9)
AMOUNTS = COUNTS | st.floats(0, 9)
ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["n" * 253, "\N{GREEK SMALL LETTER NU}" * 253, "n" * 254, "1", "true", [], {}, {"": {}}])
)
"""As a field of any type may be."""


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(range(30)).flatmap(lambda chance: right if chance else ANYTHING)


NAMES = mostly(st.text(min_size=1, max_size=4))
PODS = st.fixed_dictionaries({}, optional={"inFlight": mostly(COUNTS), "queued": mostly(COUNTS), "new": ANYTHING})
LOADS = st.fixed_dictionaries(
    {"namespace": NAMES, "deployment": NAMES, "instance": NAMES},
    optional={
        "model": mostly(st.text(max_size=4)),
        "pods": mostly(st.dictionaries(st.text(min_size=1, max_size=4), mostly(PODS), max_size=2)),
        "held": mostly(COUNTS),
        "holding": mostly(st.booleans()),
        "tokensPerSecond": mostly(AMOUNTS),
        "firstByteSeconds": mostly(AMOUNTS),
        "new": ANYTHING,
    },
)
REPORTS = st.fixed_dictionaries({"router": NAMES, "loads": mostly(st.lists(mostly(LOADS), max_size=3))})


def meant(body: bytes) -> Any:
    """What it says, or None if it is no report."""
    try:
        return load.LoadReport.model_validate_json(body).model_dump(by_alias=True)
    except ValidationError:
        return None


PLACE = {"namespace": "n", "deployment": "d", "instance": "i"}


@example({"router": "r", "loads": [{**PLACE, "new": float("nan"), "tokensPerSecond": 3}]})
@given(mostly(REPORTS))
def test_what_is_read_is_meant_so_and_what_is_no_report_is_refused(document: Any) -> None:
    body = json.dumps(document).encode()
    try:
        found = msgspec.to_builtins(wire.read(body))
    except wire.ReportError:
        return  # also what pydantic would convert, such as "2": no router says so
    # A number without a fraction may be a float there: both are written the same.
    assert json.dumps(found) == json.dumps(meant(body))


@given(
    st.lists(st.integers(0, 1_000_000_000), min_size=3, max_size=3), st.floats(0, 1e300), st.none() | st.floats(0, 9)
)
def test_whatever_a_router_says_is_read(counts: list[int], tokens: float, first: float | None) -> None:
    pods = {"p": load.PodLoad(in_flight=counts[0], queued=counts[1])}
    place = {"namespace": "n", "deployment": "d", "instance": "i"}
    said = load.DeploymentLoad(
        **place, pods=pods, held=counts[2], holding=True, tokens_per_second=tokens, first_byte_seconds=first
    )
    report = load.LoadReport(router="r", loads=(said,))
    assert msgspec.to_builtins(wire.read(report.model_dump_json(by_alias=True).encode())) == report.model_dump(
        by_alias=True
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "Input data was truncated"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"router":"r","loads":[]} x', "JSON is malformed: trailing characters"),
        (b'{"router":"\xff","loads":[]}', "'utf-8' codec can't decode"),
        (b'{"router":"\\ud800","loads":[]}', "JSON is malformed"),
        (b'{"router":"r","loads":[],"new":' + b"[" * 9999, "maximum recursion depth exceeded"),
        (b'{"router":"r","loads":[{"namespace":"n","held":1e999}]}', "Number out of range"),
        (b'{"router":"r","loads":[' + b"0," * 99_999 + b"0]}", "Expected `object`, got `int` - at `$.loads[0]`"),
        (
            b'{"router":"r","loads":[{"namespace":"n","deployment":"d","instance":"i","pods":{"p":{"queued":-1}}}]}',
            "Expected `int` >= 0 - at `$.loads[0].pods[...].queued`",
        ),
    ],
)
def test_what_is_no_report_is_refused_with_what_is_wrong_first(text: bytes, said: str) -> None:
    with pytest.raises(wire.ReportError) as raised:
        wire.read(text)
    assert str(raised.value).startswith(said)


@given(
    st.lists(st.integers(0, 1_000_000_000), min_size=3, max_size=3),
    st.lists(st.text(min_size=1, max_size=4), max_size=2),
)
def test_what_is_written_is_read_as_it_is_meant(counts: list[int], names: list[str]) -> None:
    pods = {name: wire.PodLoad(counts[0], counts[1]) for name in names}
    total = wire.DeploymentTotal("n", "d", sum(counts), counts[2], pods, tuple(names))
    text = wire.write(wire.LoadTotals(tuple(names), (total,)))
    assert load.LoadTotals.model_validate_json(text) == load.LoadTotals(
        routers=tuple(names),
        totals=(
            load.DeploymentTotal(
                namespace="n",
                deployment="d",
                peak=sum(counts),
                held=counts[2],
                pods={name: load.PodLoad(in_flight=counts[0], queued=counts[1]) for name in names},
                holding=tuple(names),
            ),
        ),
    )
