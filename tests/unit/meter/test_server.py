"""The server behind real TLS, with an API server that is given."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from devkit.pki import Authority, Pair
from shimmy_api.load import LOADS_PATH, DeploymentLoad, LoadReport, LoadTotals, PodLoad
from shimmy_meter.authorization import Authorizer
from shimmy_meter.bearers import Bearers
from shimmy_meter.front_proxy import FrontProxy, User
from shimmy_meter.kube import UnavailableError
from shimmy_meter.loads import Loads
from shimmy_meter.server import Callers, MetricsServer
from shimmy_meter.tls import ServerTls

VALUES = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/shimmy_model_load"
USER = {"X-Remote-User": "anna"}
REPORT = LoadReport(
    router="r0",
    loads=(
        DeploymentLoad(
            namespace="ns", deployment="i-m", instance="i", model="m", pods={"p": PodLoad(in_flight=3)}, holding=True
        ),
    ),
)
POD = "authentication.kubernetes.io/pod-name"
TOKENS = {
    "r0's": User("system:serviceaccount:shimmy:router", extra=((POD, ("r0",)),)),
    "a's": User("system:serviceaccount:ns:own", extra=((POD, ("r0",)),)),
    "a's unbound": User("system:serviceaccount:ns:own"),
    "b's": User("system:serviceaccount:elsewhere:own", extra=((POD, ("r0",)),)),
    "unbound": User("router"),
    "operator's": User("operator"),
}
RIGHTS = {("router", "post"), ("system:serviceaccount:shimmy:router", "post"), ("operator", "get")}


class Place:
    """A server, the authorities around it, and whom it lets in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder, "ca")
        self.proxies = Authority(folder, "front-proxy-ca")
        self.proxy = self.proxies.client("front-proxy-client", "front-proxy-client")
        self.allowed = {"anna"}
        self.away = False
        self.url = self.metrics_url = ""
        self.new_certificate()
        self.tls = ServerTls(folder / "tls")
        self.callers = Callers(Authorizer(self.review), Bearers(self.identify, self.review))
        self.trust(self.proxies)

    def new_certificate(self) -> None:
        pair = self.authority.server("server", ["127.0.0.1"])
        (self.folder / "tls").mkdir(exist_ok=True)
        (self.folder / "tls/tls.crt").write_bytes(pair.certificate.read_bytes())
        (self.folder / "tls/tls.key").write_bytes(pair.key.read_bytes())

    def trust(self, proxies: Authority) -> None:
        authority = proxies.files.certificate.read_text()
        self.tls.refresh(authority)
        headers = ('["X-Remote-User"]', '["X-Remote-Group"]')
        self.callers.front_proxy = FrontProxy.read(
            {
                "requestheader-client-ca-file": authority,
                "requestheader-allowed-names": '["front-proxy-client"]',
                "requestheader-username-headers": headers[0],
                "requestheader-group-headers": headers[1],
            }
        )

    async def review(self, spec: dict[str, Any]) -> bool:
        if self.away:
            raise UnavailableError("503")
        path = spec.get("nonResourceAttributes", {})
        if path.get("path") == LOADS_PATH:
            return (spec["user"], path["verb"]) in RIGHTS
        resource = spec.get("resourceAttributes", {})
        if resource.get("subresource") == "load":
            return bool(spec["user"] == f"system:serviceaccount:{resource['namespace']}:own")
        return spec["user"] in self.allowed

    async def identify(self, token: str) -> User | None:
        if self.away:
            raise UnavailableError("503")
        return TOKENS.get(token)

    async def get(self, path: str, pair: Pair | None = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return await self.ask("GET", path, pair, headers)

    async def ask(
        self, method: str, path: str, pair: Pair | None, headers: dict[str, str] | None, body: str | None = None
    ) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(self.authority.files.certificate))
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, ssl=context, headers=headers, data=body) as answer,
        ):
            json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if json else answer.text())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    server = MetricsServer(Loads(), made.callers, lambda: True)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.tls.context).start()
    made.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    plain = web.AppRunner(server.metrics(), access_log=None, shutdown_timeout=0)
    await plain.setup()
    await web.TCPSite(plain, "127.0.0.1", 0).start()
    made.metrics_url = f"http://127.0.0.1:{plain.addresses[0][1]}/metrics"
    try:
        yield made
    finally:
        await runner.cleanup()
        await plain.cleanup()


async def post(place: Place, token: str, text: str = REPORT.model_dump_json(by_alias=True)) -> tuple[int, Any]:
    return await place.ask("POST", LOADS_PATH, None, {"Authorization": f"Bearer {token}"}, text)


@pytest.mark.parametrize(
    ("token", "code"),
    [("r0's", 204), ("unbound", 204), ("operator's", 403), ("other", 401), ("", 401), ("n\xe9w", 401)],
)
async def test_who_may_report(place: Place, token: str, code: int) -> None:
    assert (await post(place, token))[0] == code


@pytest.mark.parametrize(("token", "code"), [("r0's", 403), ("operator's", 200), ("other", 401)])
async def test_who_may_read_what_was_reported(place: Place, token: str, code: int) -> None:
    await post(place, "r0's")
    found, document = await place.get(LOADS_PATH, None, {"Authorization": f"Bearer {token}"})
    assert found == code
    if code == 200:
        totals = LoadTotals.model_validate(document)
        assert (totals.routers, totals.totals[0].holding, totals.totals[0].peak) == (("shimmy/r0",), ("shimmy/r0",), 3)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_reports_or_reads_without_a_token(place: Place, method: str) -> None:
    assert (await place.ask(method, LOADS_PATH, place.proxy, USER, "{}"))[0] == 401


async def test_a_pod_speaks_for_itself_alone(place: Place) -> None:
    text = REPORT.model_copy(update={"router": "r1"}).model_dump_json(by_alias=True)
    assert await post(place, "r0's", text) == (403, "pod r0 cannot speak for r1")
    assert (await post(place, "unbound", text))[0] == 204


async def test_a_tenants_router_tells_the_loads_of_its_namespace_alone(place: Place) -> None:
    assert (await post(place, "a's"))[0] == 204
    assert await post(place, "b's") == (403, "a router of namespace elsewhere cannot speak of namespace ns")
    assert (await place.get(LOADS_PATH, None, {"Authorization": "Bearer a's"}))[0] == 403
    assert await post(place, "a's unbound") == (403, "a token that is bound to a pod is needed")


async def test_a_tenants_router_tells_no_more_than_a_tenant_has(place: Place) -> None:
    long = REPORT.model_dump_json(by_alias=True) + " " * 512 * 1024
    assert (await post(place, "a's", long))[0] == 413
    assert (await post(place, "r0's", long))[0] == 204


async def test_pods_of_one_name_in_two_namespaces_are_two_routers(place: Place) -> None:
    await post(place, "r0's")
    await post(place, "a's", REPORT.model_copy(update={"loads": ()}).model_dump_json(by_alias=True))
    _, document = await place.get(LOADS_PATH, None, {"Authorization": "Bearer operator's"})
    totals = LoadTotals.model_validate(document)
    assert (totals.routers, totals.totals[0].holding) == (("ns/r0", "shimmy/r0"), ("shimmy/r0",))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "no report: Object missing required field `router`"), ("{", "no report: Input data was truncated")],
)
async def test_what_is_no_report_is_refused(place: Place, text: str, said: str) -> None:
    code, found = await post(place, "r0's", text)
    assert code == 400
    assert found.startswith(said)


async def test_who_was_never_believed_is_told_that_nobody_can_say(place: Place) -> None:
    await post(place, "r0's")
    place.away = True
    assert (await post(place, "r0's"))[0] == 204
    assert (await post(place, "unbound"))[0] == 503


async def test_what_was_reported_is_read_through_the_front_proxy(place: Place) -> None:
    await post(place, "r0's")
    code, found = await place.get(f"{VALUES}?labelSelector=instance%3Di%2Cmodel+in+%28m%29", place.proxy, USER)
    assert (code, [item["value"] for item in found["items"]]) == (200, ["3"])
    async with aiohttp.ClientSession() as session, session.get(place.metrics_url) as answer:
        text = await answer.text()
    assert 'shimmy_model_load{deployment="i-m",instance="i",model="m",namespace="ns"} 3.0' in text
    assert "shimmy_meter_routers 1.0" in text


@pytest.mark.parametrize("path", [VALUES, "/apis", "/openapi/v2", "/nowhere", "/metrics/", "//metrics"])
async def test_headers_without_a_certificate_mean_nothing(place: Place, path: str) -> None:
    code, found = await place.get(path, None, USER | {"X-Remote-Group": "system:masters"})
    assert (code, found["kind"], found["reason"]) == (401, "Status", "Unauthorized")


async def test_another_name_of_the_same_authority_means_nothing(place: Place) -> None:
    code, _ = await place.get(VALUES, place.proxies.client("other", "other"), USER)
    assert code == 401


async def test_a_certificate_of_another_authority_ends_the_handshake(place: Place) -> None:
    with pytest.raises(aiohttp.ClientError):
        await place.get(VALUES, place.authority.client("front-proxy-client-2", "front-proxy-client"), USER)


async def test_refusals_are_status_objects(place: Place) -> None:
    found = [
        await place.get(VALUES, place.proxy, {"X-Remote-User": "bert"}),
        await place.get(VALUES.replace("load", "other"), place.proxy, USER),
        await place.get(f"{VALUES}?labelSelector=a%3Db%3Dc", place.proxy, USER),
        await place.get("/apis/nowhere", place.proxy, USER),
        await place.ask("DELETE", VALUES, place.proxy, USER),
    ]
    assert [(code, body["kind"], body["reason"]) for code, body in found] == [
        (403, "Status", "Forbidden"),
        (404, "Status", "NotFound"),
        (400, "Status", "BadRequest"),
        (404, "Status", "NotFound"),
        (405, "Status", "MethodNotAllowed"),
    ]
    assert found[0][1]["message"] == (
        'User "bert" cannot list resource "shimmy_model_load" '
        'in API group "external.metrics.k8s.io" in the namespace "ns"'
    )


async def test_an_api_server_that_is_away(place: Place) -> None:
    place.away = True
    assert (await place.get(VALUES, place.proxy, USER))[0] == 500
    assert (await place.get(VALUES, place.proxy, {"X-Remote-User": "k", "X-Remote-Group": "system:masters"}))[0] == 200
    assert (await place.get("/healthz"))[0] == 200


async def test_a_new_certificate_is_shown_at_once(place: Place) -> None:
    old, place.authority = place.authority, Authority(place.folder, "ca-2")
    place.new_certificate()
    assert place.tls.refresh()
    assert not place.tls.refresh()
    assert (await place.get("/healthz"))[0] == 200
    place.authority = old
    with pytest.raises(aiohttp.ClientError):
        await place.get("/healthz")


async def test_half_a_pair_leaves_the_old_one(place: Place) -> None:
    (place.folder / "tls/tls.key").write_bytes(place.proxy.key.read_bytes())
    with pytest.raises(ssl.SSLError):
        place.tls.refresh()
    assert (await place.get("/healthz"))[0] == 200


async def test_a_new_front_proxy_takes_the_place_of_the_old_one(place: Place) -> None:
    others = Authority(place.folder, "front-proxy-ca-2")
    place.trust(others)
    assert (await place.get(VALUES, others.client("front-proxy-client-2", "front-proxy-client"), USER))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await place.get(VALUES, place.proxy, USER)
