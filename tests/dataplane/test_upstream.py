"""What reaches a pod, and how its answer comes through."""

from collections.abc import Iterator

import pytest
from tests.contract.running import TOKEN
from tests.dataplane.plane import Objects, Plane, chat, key_of, model, plane, tenant
from tests.dataplane.recorder import FIRST, LAST, Recorder, recorder

from devkit.waiting import until
from shimmy_api import headers

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with recorder() as started:
        yield started


@pytest.fixture(scope="module")
def router(upstream: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("recorded")
    objects = Objects(folder / "objects")
    objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", aliases=["gpt"], ports=[upstream.port])])
    with plane(folder, ["--directory", str(objects.folder)]) as started:
        upstream.go_on.set()
        until(lambda: _works(started), "tenant a is served", seconds=20)
        yield started


def _works(router: Plane) -> bool:
    with router.client(key_of("a")) as client:
        return client.post(PATH, json=chat()).is_success


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_credentials_stay_in_the_router(router: Plane, upstream: Recorder, header: str) -> None:
    upstream.go_on.set()
    key = key_of("a")
    value = f"Bearer {key}" if header == "authorization" else key
    with router.client() as client:
        assert client.post(PATH, json=chat(), headers={header: value}).is_success
    sent = upstream.headers[-1]
    assert not [name for name, text in sent.items() if key[20:] in text]
    assert not {"authorization", "x-api-key"} & sent.keys()


def test_a_pod_is_told_who_asks_for_what(router: Plane, upstream: Recorder) -> None:
    upstream.go_on.set()
    with router.client(key_of("a")) as client:
        response = client.post(PATH, json=chat(model_name="gpt"), headers={"x-shimmy-tenant": "b"})
    sent = upstream.headers[-1]
    ours = {name: value for name, value in sent.items() if name.startswith("x-shimmy-")}
    assert ours == {
        "x-shimmy-tenant": "a",
        "x-shimmy-key-id": key_of("a")[:18],
        "x-shimmy-model": "m",
        "x-shimmy-engine-token": TOKEN,
    }
    assert sent["x-request-id"] == response.headers["x-request-id"]
    assert sent["te"] == "trailers"


def test_a_pod_is_not_told_where_a_client_is(router: Plane, upstream: Recorder) -> None:
    upstream.go_on.set()
    said = {"x-forwarded-for": "8.8.8.8", "x-forwarded-host": "client.example", "x-forwarded-proto": "gopher"}
    with router.client(key_of("a")) as client:
        assert client.post(PATH, json=chat(), headers=said).is_success
    sent = upstream.headers[-1]
    told = {name: text for name, text in sent.items() if name.startswith(("x-forwarded", "x-envoy-", "forwarded"))}
    assert told == {"x-forwarded-proto": "http", headers.ATTEMPT: "1"}


def test_a_stream_comes_through_as_it_is_written(router: Plane, upstream: Recorder) -> None:
    upstream.go_on.clear()
    with router.client(key_of("a")) as client, client.stream("POST", PATH, json=chat(stream=True)) as response:
        chunks = response.iter_raw()
        assert next(chunks) == FIRST
        upstream.go_on.set()
        assert b"".join(chunks) == LAST


def test_a_trace_goes_on_to_the_pod_as_the_client_began_it(router: Plane, upstream: Recorder) -> None:
    upstream.go_on.set()
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=value"}
    with router.client(key_of("a")) as client:
        assert client.post(PATH, json=chat(), headers=trace).is_success
    assert trace.items() <= upstream.headers[-1].items()


def test_a_pod_is_told_which_try_it_is_and_knows_itself_how_long_it_may_take(router: Plane, upstream: Recorder) -> None:
    upstream.go_on.set()
    with router.client(key_of("a")) as client:
        assert client.post(PATH, json=chat(), headers={headers.EXPECTED_TIMEOUT_MS: "1"}).is_success
    sent = upstream.headers[-1]
    assert sent[headers.ATTEMPT] == "1"
    assert headers.EXPECTED_TIMEOUT_MS not in sent, "with firstByteSeconds Envoy would say that time instead"
