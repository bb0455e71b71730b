"""Everything that the agent reads from others, as it may come: nothing breaks it, and no secret gets into a log."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shimmy_api import errors, headers, names
from shimmy_router.entries import LINE, Entry, entry_of
from shimmy_router.fleet import Key, Model, Tenant
from shimmy_router.index import compile_fleet
from shimmy_router.limits.ledger import Ledger
from shimmy_router.limits.tokens import TokenUse
from shimmy_router.limits.wire import ToAsker, ToRouter
from shimmy_router.metrics import Metrics
from shimmy_router.peers import Peers
from shimmy_router.processing import Admitted, Call, Refused, admission, call_of, refusal, unchanged
from shimmy_router.records import PARSERS, PEERS
from shimmy_router.store import Store
from shimmy_router.xds import filters
from shimmy_router.xds.ext_proc import TENANT_METADATA

SECRET = "sk-shimmy-secret00-0123456789abcdef0123456789abcdef"

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(SECRET)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)

ENDPOINT = st.fixed_dictionaries(
    {},
    optional={
        "addresses": st.lists(st.text(), max_size=3) | JSON,
        "conditions": st.dictionaries(st.sampled_from(["ready", "serving", "terminating"]), st.booleans()) | JSON,
        "targetRef": st.fixed_dictionaries({"kind": st.just("Pod"), "name": st.text()}) | JSON,
        "zone": JSON,
    },
)
SLICE = st.fixed_dictionaries(
    {},
    optional={
        "addressType": st.sampled_from(["IPv4", "IPv6", "FQDN"]) | JSON,
        "ports": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["http", "metrics"]), "port": st.integers()}))
        | JSON,
        "endpoints": st.lists(ENDPOINT | JSON, max_size=3) | JSON,
    },
)
SECRET_BODY = st.fixed_dictionaries(
    {"type": st.sampled_from([names.SECRET_TYPE_KEYS, "Opaque"]) | JSON},
    optional={
        "data": st.dictionaries(st.sampled_from(["key.a", "engineToken", "jwks.a", "x"]), JSON, max_size=4) | JSON,
        "stringData": st.dictionaries(st.sampled_from(["key.a", "engineToken", "jwks.a"]), JSON, max_size=3) | JSON,
    },
)
BODIES = {"EndpointSlice": SLICE, PEERS: SLICE, "Secret": SECRET_BODY}
LABELS = st.dictionaries(
    st.sampled_from([names.LABEL_MODEL, names.LABEL_KEYS, "kubernetes.io/service-name"]),
    st.sampled_from(["m", names.ROUTER_METRICS_SERVICE]) | JSON,
)


def manifests(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose identity is sound, as an API server guarantees it, and nothing else."""
    body = BODIES.get(kind, st.fixed_dictionaries({}, optional={"spec": JSON, "status": JSON}))
    metadata = st.fixed_dictionaries(
        {"name": st.just("n"), "namespace": st.just("ns")},
        optional={"labels": LABELS | JSON, "creationTimestamp": JSON},
    )
    return st.builds(lambda b, m: {**b, "metadata": m}, body, metadata)


@pytest.mark.parametrize("kind", PARSERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_object_breaks_the_store_or_gets_into_a_log(
    kind: str, data: st.DataObject, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = data.draw(manifests(kind))
    store = Store(lambda *_: None)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        for other in PARSERS:
            store.replace(other, [manifest] if other == kind else [])
        store.put(kind, manifest)
        compile_fleet(store.records())
    assert "sk-shimmy" not in caplog.text


def test_labels_that_are_no_text_are_none() -> None:
    labels = {name: [None] for name in (names.LABEL_KEYS, names.LABEL_MODEL, "kubernetes.io/service-name")}
    metadata = {"name": "n", "namespace": "ns", "labels": labels}
    manifest = {"metadata": metadata, "type": names.SECRET_TYPE_KEYS, "addressType": "IPv4"}
    assert [PARSERS[kind](manifest) for kind in ("Secret", "EndpointSlice", PEERS)] == [None] * 3


HEADER_VALUES = st.text() | st.sampled_from(["", "0", "12", "-1", "1.5", "1e9", "٣", "9" * 400, "nan", "0.250"])


CODE = 6
FIELDS = LINE.count("\t") + 1


@given(st.lists(HEADER_VALUES, min_size=FIELDS, max_size=FIELDS), st.integers(0, 2**32 - 1))
def test_any_access_log_record_is_an_entry_that_can_be_counted(fields: list[str], code: int) -> None:
    fields[CODE] = str(code)
    entry = entry_of("\t".join(field.replace("\t", " ") for field in fields))
    assert entry
    Metrics().count(entry)
    for number in (entry.prompt_tokens, entry.completion_tokens, entry.queue_seconds, entry.seconds):
        assert number is None or 0 <= number < 1e17


@given(st.text() | st.lists(st.text(), min_size=FIELDS, max_size=FIELDS).map("\t".join))
def test_any_line_is_an_entry_or_none(line: str) -> None:
    assert isinstance(entry_of(line), Entry | None)


@given(
    st.lists(st.tuples(st.sampled_from([filters.ROUTE, headers.KEY_ID, "x-request-id", "x"]), st.binary(max_size=20))),
    st.dictionaries(st.sampled_from([TENANT_METADATA, "x"]), st.text() | st.binary()),
)
def test_any_headers_of_a_request_are_a_call(given_headers: list[tuple[str, bytes]], metadata: dict[str, Any]) -> None:
    message = external_processor_pb2.ProcessingRequest()
    for name, value in given_headers:
        message.request_headers.headers.headers.add(key=name, raw_value=value)
    assert isinstance(call_of(message, metadata), Call)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_no_message(data: bytes) -> None:
    message = external_processor_pb2.ProcessingRequest()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return
    assert isinstance(call_of(message, {}), Call)
    if kind := message.WhichOneof("request"):
        assert unchanged(kind).WhichOneof("response") == kind


def test_a_kind_of_message_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        unchanged(None)


def test_what_is_decided_is_what_envoy_is_told() -> None:
    told: Any = admission(Admitted({"a": "b"}))
    assert told.dynamic_metadata["shimmy.limits"]["a"] == "b"
    told = refusal(Refused(errors.TOO_MANY_REQUESTS, {"retry-after": "1"}))
    assert told.immediate_response.status.code == dict(filters.REFUSAL_STATUSES)[errors.TOO_MANY_REQUESTS]
    assert told.immediate_response.body == errors.TOO_MANY_REQUESTS.body()


@given(st.text() | JSON.map(str) | st.binary())
def test_any_text_of_another_router_is_taken_or_refused_with_value_error(text: str | bytes) -> None:
    for kind in (ToRouter, ToAsker):
        try:
            kind.model_validate_json(text)
        except ValueError:
            continue


COUNTS = st.integers(-(2**70), 2**70)


BUCKETS = st.lists(st.tuples(COUNTS, COUNTS))
LIMITS = st.lists(COUNTS | st.none())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "states": st.lists(st.tuples(st.text(), st.text(), BUCKETS, COUNTS), max_size=3),
            "asks": st.lists(st.tuples(COUNTS, st.tuples(st.text(), st.text(), LIMITS, LIMITS)), max_size=3),
            "tokens": st.lists(st.tuples(st.text(), BUCKETS), max_size=3),
        },
    )
)
def test_what_another_router_tells_cannot_break_the_counting(told: dict[str, Any]) -> None:
    ledger, use = Ledger("own"), TokenUse()
    peers = Peers("own", ledger, use)
    try:
        peers.take("other", json.dumps(told))
    except ValueError:
        return
    now = 1.8e9
    for tenant in list(use.tenants()):
        assert sum(window.total(now) for window in use.windows(tenant)) >= 0
    ledger.prune(now)
    use.prune(now)


def test_labels_of_strangers_and_of_what_is_gone_are_no_series() -> None:
    metrics = Metrics()
    models = (Model("m", "t"), Model("n", "t"))
    tenant = Tenant("t", "shimmy-t", keys=(Key("sk-shimmy-k", "k", "default"),), models=models)
    metrics.know("t", tenant)
    entry = Entry("id", "t", "k", "m", "n", "no_pod", 200, "completed", 1.0, 0.5, 0.1, 2, 3, 4)
    metrics.count(entry)
    metrics.count(entry._replace(asked="n"))
    metrics.count(entry._replace(served="made-up", key_id="made-up"))
    metrics.count(Entry("id", "", "", "", "", "", 401, "refused", None, None, None, 0, None, None))
    series = _series(metrics)
    assert ("shimmy_router_requests_total", ("t", "n", "m", "200", "completed"), 1.0) in series
    assert ("shimmy_router_requests_total", ("t", "m", "m", "200", "completed"), 1.0) in series
    assert ("shimmy_router_key_tokens_total", ("t", "k", "completion"), 8.0) in series
    assert ("shimmy_router_queue_seconds_count", ("t", "n"), 2.0) in series
    assert ("shimmy_router_retries_total", ("t", "n"), 4.0) in series
    assert "made-up" not in str(series)
    metrics.count(entry._replace(reason="made-up", queue_seconds=None))
    metrics.moved(models[0])
    metrics.moved(Model("made-up", "t"))
    series = _series(metrics)
    assert ("shimmy_router_fallbacks_total", ("t", "n", "m", "no_pod"), 1.0) in series
    assert ("shimmy_router_moves_total", ("t", "m"), 1.0) in series
    assert "made-up" not in str(series)

    metrics.know("t", replace(tenant, keys=(), models=models[1:]))
    metrics.count(entry._replace(asked="n"))
    series = _series(metrics)
    assert ("shimmy_router_queue_seconds_count", ("t", "n"), 3.0) in series
    assert "'m'" not in str(series)
    assert "'k'" not in str(series)

    metrics.know("other", Tenant("other", "shimmy-other"))
    metrics.know("t", None)
    metrics.count(entry)  # of an answer that outlived its tenant
    assert "'t'" not in str(_series(metrics))
    assert ("shimmy_router_requests_total", ("", "", "", "401", "refused"), 1.0) in _series(metrics)
    assert ("shimmy_router_requests_total", ("", "", "", "200", "completed"), 1.0) in _series(metrics)


def _series(metrics: Metrics) -> list[tuple[str, tuple[str, ...], float]]:
    return [
        (sample.name, tuple(sample.labels.values()), sample.value)
        for family in metrics.registry.collect()
        for sample in family.samples
    ]
