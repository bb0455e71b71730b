"""Limits over three routers, each an Envoy and an agent, that find one another as in a cluster."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract.running import TOKEN
from tests.dataplane.plane import HOST, Objects, Plane, chat, key_of, model, plane, tenant
from tests.dataplane.upstream import Upstream, upstream

from devkit.waiting import until

PATH = "/v1/chat/completions"
ROUTERS = 3


class Routers:
    """Three routers, and the objects that they read."""

    def __init__(self, folder: Path, stack: ExitStack, engine: Upstream) -> None:
        self.objects = Objects(folder / "objects")
        self.engine = engine
        self.standing_in: set[str] = set()
        """Tenants whose model m is stood in for by small when their tokens are used up."""
        self.limit("plain")
        self.planes: list[Plane] = []
        for number in range(ROUTERS):
            part = folder / str(number)
            part.mkdir()
            source = ["--directory", str(self.objects.folder), "--node", f"router-{number}"]
            self.planes.append(stack.enter_context(plane(part, source)))
        self.introduce(self.planes)

    def introduce(self, planes: Sequence[Plane]) -> None:
        """Let the routers know of these, as the EndpointSlices of their Service would."""
        self.objects.write(
            "routers", [_slice(number, p.metrics_port) for number, p in enumerate(self.planes) if p in planes]
        )
        until(lambda: all(connected(p) == len(planes) - 1 for p in planes), "the routers to connect", seconds=15)

    def limit(self, name: str, keys: Sequence[dict[str, Any]] = (), **limits: int) -> None:
        """Write a tenant with these limits, and models m and small that it can ask for."""
        entries = keys or [{}]
        manifests = tenant(name, token=TOKEN, keys=[key_of(name, number=n) for n, _ in enumerate(entries)])
        manifests[0]["spec"] |= {"limits": limits, "keys": [e | {"name": str(n)} for n, e in enumerate(entries)]}
        models = [*model(name, "m", ports=[self.engine.port]), *model(name, "small", ports=[self.engine.port])]
        for manifest in models:
            if (
                manifest["kind"] == "ShimmyInstance"
                and manifest["spec"]["models"] == ["m"]
                and name in self.standing_in
            ):
                manifest["spec"]["routing"] = {"fallback": {"models": ["small"], "when": ["Budget"]}}
        self.objects.write(name, [*manifests, *models])

    def serve(self, name: str, keys: Sequence[dict[str, Any]] = (), **limits: int) -> str:
        """The same, and wait until every router serves it; its key."""
        self.limit(name, keys, **limits)
        key = key_of(name)
        for p in self.planes:
            until(lambda p=p: _listing(p, key) == 200, f"tenant {name}", seconds=10)  # type: ignore[misc]
        return key


def connected(p: Plane) -> int:
    found = re.search(r"^shimmy_router_peers_connected (\S+)$", p.metrics(), re.MULTILINE)
    return int(float(found[1])) if found else -1


def _slice(number: int, port: int) -> dict[str, Any]:
    pod = {"kind": "Pod", "name": f"router-{number}"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"shimmy-router-metrics-{number}",
            "namespace": "shimmy-system",
            "labels": {"kubernetes.io/service-name": "shimmy-router-metrics"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "metrics", "port": port}],
        "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}, "targetRef": pod}],
    }


def _listing(p: Plane, key: str) -> int:
    with p.client(key) as client:
        return client.get("/v1/models").status_code


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routers]:
    with ExitStack() as stack:
        engine = stack.enter_context(upstream())
        yield Routers(tmp_path_factory.mktemp("routers"), stack, engine)


@pytest.fixture(autouse=True)
def as_before(routers: Routers) -> None:
    routers.engine.go_on.set()


def hammer(p: Plane, key: str, requests: int, at_a_time: int) -> list[httpx.Response]:
    """Send requests from so many clients at a time; their answers."""
    with ExitStack() as stack:
        clients = [stack.enter_context(p.client(key)) for _ in range(at_a_time)]
        threads = stack.enter_context(ThreadPoolExecutor(at_a_time))
        share = [requests // at_a_time] * at_a_time
        futures = [threads.submit(_send, client, count) for client, count in zip(clients, share, strict=True)]
        return [response for future in futures for response in future.result()]


def _send(client: httpx.Client, count: int) -> list[httpx.Response]:
    return [client.post(PATH, json=chat()) for _ in range(count)]


def test_three_routers_let_a_minutes_requests_in_and_no_more_however_unevenly_they_come(routers: Routers) -> None:
    limit = 100
    key = routers.serve("rpm", requestsPerMinute=limit)
    with ThreadPoolExecutor(ROUTERS) as threads:
        load = [threads.submit(hammer, p, key, 40 * 3**n, 4) for n, p in enumerate(routers.planes)]
        answers = [response for future in load for response in future.result()]
    codes = Counter(response.status_code for response in answers)
    assert set(codes) == {200, 429}
    assert 0.9 * limit <= codes[200] <= 1.1 * limit


def test_answers_say_how_the_limit_stands(routers: Routers) -> None:
    key = routers.serve("told", requestsPerMinute=3)
    answers = [hammer(p, key, 1, 1)[0] for p in (*routers.planes, routers.planes[0])]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-limit-requests"] for answer in answers] == ["3"] * 4
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert re.fullmatch(r"(1m)?\d+s", refused.headers["x-ratelimit-reset-requests"])
    assert 50 <= int(refused.headers["retry-after"]) <= 61
    assert refused.json()["error"]["type"] == "requests"
    assert refused.headers["content-type"] == "application/json"


def test_three_routers_run_so_many_requests_at_a_time_and_no_more(routers: Routers) -> None:
    limit = 10
    key = routers.serve("conc", concurrent=limit)
    routers.engine.go_on.clear()
    with ExitStack() as stack:
        answers = []
        for number in (0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 1, 2, 2, 0):
            client = stack.enter_context(routers.planes[number].client(key))
            answers.append(stack.enter_context(client.stream("POST", PATH, json=chat())))
        assert Counter(answer.status_code for answer in answers) == {200: limit, 429: 4}
        routers.engine.go_on.set()
        for answer in answers:
            answer.read()
    # All have ended, whichever way: as many fit in again.
    until(lambda: running(routers, "conc") == 0, "the end to be known", seconds=5)
    codes = Counter(response.status_code for p in routers.planes for response in hammer(p, key, 9, 3))
    assert codes == {200: 27}


def running(routers: Routers, name: str) -> int:
    """What all routers together have running of a tenant."""
    pattern = rf'^shimmy_router_limited_requests_running{{tenant="{name}"}} (\S+)$'
    found = [match for p in routers.planes for match in re.findall(pattern, p.metrics(), re.MULTILINE)]
    return int(sum(map(float, found)))


def test_a_key_has_limits_of_its_own_and_other_keys_are_not_touched(routers: Routers) -> None:
    limits = {"limits": {"requestsPerMinute": 5}}
    routers.serve("keys", [limits, {}], requestsPerMinute=20)
    codes = [
        Counter(response.status_code for p in routers.planes for response in hammer(p, key, 6, 2))
        for key in (key_of("keys"), key_of("keys", number=1))
    ]
    assert codes == [{200: 5, 429: 13}, {200: 15, 429: 3}]


def test_a_tenant_without_limits_is_not_asked_about(routers: Routers) -> None:
    before = admissions(routers)
    assert {response.status_code for p in routers.planes for response in hammer(p, key_of("plain"), 4, 2)} == {200}
    assert admissions(routers) == before


def admissions(routers: Routers) -> float:
    pattern = r"^shimmy_router_admissions_total{.*} (\S+)$"
    return sum(float(found) for p in routers.planes for found in re.findall(pattern, p.metrics(), re.MULTILINE))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/messages", lambda body: body["error"]["details"]["error_code"]),
        ("/api/chat", lambda body: body["code"]),
        (PATH, lambda body: body["error"]["code"]),
    ],
)
def test_every_api_is_limited_and_refused_in_its_own_words(
    routers: Routers, path: str, code: Callable[[Any], str]
) -> None:
    name = f"api{len(path)}"
    key = routers.serve(name, requestsPerMinute=1)
    with routers.planes[0].client(key) as client:
        answers = [client.post(path, json=chat()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert code(answers[1].json()) == "rate_limit_exceeded"
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "0"
    assert answers[1].headers["content-type"] == "application/json"
    counted = re.compile(
        rf'^shimmy_router_requests_total{{.*code="429",.*outcome="refused",tenant="{name}"}} 1\.0$', re.MULTILINE
    )
    until(lambda: counted.search(routers.planes[0].metrics()), "the refusal to be counted", seconds=5)


def test_a_list_of_models_counts_as_no_request(routers: Routers) -> None:
    key = routers.serve("lists", requestsPerMinute=2)
    assert {_listing(routers.planes[0], key) for _ in range(6)} == {200}
    assert [response.status_code for response in hammer(routers.planes[0], key, 3, 1)] == [200, 200, 429]


def test_without_its_agent_a_router_limits_nothing_and_the_others_go_on(routers: Routers) -> None:
    key = routers.serve("open", requestsPerMinute=4)
    away, *others = routers.planes
    away.kill_agent()
    try:
        assert {response.status_code for response in hammer(away, key, 6, 2)} == {200}
        until(lambda: all(connected(p) == 1 for p in others), "the others to notice", seconds=10)
        codes = Counter(response.status_code for p in others for response in hammer(p, key, 6, 2))
        assert codes == {200: 4, 429: 8}
    finally:
        away.start_agent()
        until(lambda: all(connected(p) == 2 for p in routers.planes), "the agent again", seconds=15)
    # It learns from the others what was used.
    assert {response.status_code for response in hammer(away, key, 4, 2)} == {429}


def test_tokens_over_the_limit_close_the_tenants_routes_in_every_router(routers: Routers) -> None:
    key = routers.serve("tokens", tokensPerMinute=100)
    use = {"x-kind": "json", "x-tokens": "60"}
    with routers.planes[0].client(key) as first, routers.planes[1].client(key) as second:
        assert [client.post(PATH, json=chat(), headers=use).status_code for client in (first, second)] == [200, 200]
    for p in routers.planes:
        until(lambda p=p: hammer(p, key, 1, 1)[0].status_code == 429, "the refusal", seconds=5)  # type: ignore[misc]
        refused = hammer(p, key, 1, 1)[0]
        assert refused.json()["error"]["type"] == "tokens"
        assert refused.headers["x-ratelimit-limit-tokens"] == "100"
        assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
        assert 40 <= int(refused.headers["retry-after"]) <= 60
        assert _listing(p, key) == 200


def test_a_model_stands_in_when_the_tokens_are_used_up_and_the_chain_says_so(routers: Routers) -> None:
    routers.standing_in.add("spare")
    key = routers.serve("spare", tokensPerMinute=50)
    (p, *_) = routers.planes
    with p.client(key) as client:
        assert client.post(PATH, json=chat(), headers={"x-tokens": "60"}).status_code == 200

        def stood_in() -> httpx.Response | None:
            answer = client.post(PATH, json=chat())
            return answer if answer.headers.get("x-shimmy-reason") else None

        answer = until(stood_in, "the other model", seconds=5)
        assert (answer.status_code, answer.headers["x-shimmy-model"]) == (200, "small")
        assert answer.headers["x-shimmy-reason"] == "used_up"
        # Of itself it is no spare.
        assert client.post(PATH, json=chat(model_name="small")).status_code == 429
        counted = 'shimmy_router_fallbacks_total{asked="m",model="small",reason="used_up",tenant="spare"}'
        until(lambda: counted in p.metrics(), "the count", seconds=10)
