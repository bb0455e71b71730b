"""Who gets what: every route and method, with every kind of key, for every kind of model, plainly and with tricks.

The pod says what the router told it, so that an answer also shows as whom the request came.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.contract.running import TOKEN
from tests.dataplane.echo_pod import EchoPod, echo_pod
from tests.dataplane.plane import Objects, Plane, key_of, model, plane, tenant
from tests.dataplane.raw_http import Answer, Headers, answer, answers, request

from devkit.waiting import until

ROUTED = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/chat",
    "/api/generate",
    "/api/show",
)
"""POST; the body names the model."""
LISTED = ("/v1/models", "/api/tags", "/api/ps", "/api/version")
"""GET; the router answers by itself."""
ABSENT = (
    "/v1",
    "/v2/chat/completions",
    "/internal/journal",
    "/internal/load",
    "/admin/load",
    "/metrics",
    "/healthz",
)
"""Of the engine or of nobody: no client gets anything from them."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")

A, B, EXPIRED, REVOKED = key_of("a"), key_of("b"), key_of("a", number=1), key_of("a", number=2)
A_TOKEN, B_TOKEN, C_TOKEN = (f"{TOKEN}-{name}" for name in "abc")

BAD: dict[str, Headers] = {
    "none": [],
    "empty": [("authorization", "")],
    "no key": [("authorization", "Bearer")],
    "malformed": [("authorization", "Bearer sk-shimmy-short")],
    "another scheme": [("authorization", "Basic c2stc2hpbW15")],
    "cut": [("authorization", f"Bearer {A[:-1]}")],
    "longer": [("authorization", f"Bearer {A}x")],
    "another case": [("authorization", f"Bearer {A.upper()}")],
    "quoted": [("authorization", f'Bearer "{A}"')],
    "in the wrong place": [("cookie", f"key={A}"), ("x-shimmy-key", A), ("proxy-authorization", f"Bearer {A}")],
    "expired": [("authorization", f"Bearer {EXPIRED}")],
    "revoked": [("authorization", f"Bearer {REVOKED}")],
    "no token": [("authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")],
}
RIGHT: dict[str, Headers] = {
    "bearer": [("authorization", f"Bearer {A}")],
    "lower case": [("authorization", f"bearer {A}")],
    "x-api-key": [("x-api-key", A)],
}
SPOOFED: Headers = [
    ("x-shimmy-tenant", "b"),
    ("x-shimmy-model", "secret"),
    ("x-shimmy-route", "secret"),
    ("x-shimmy-asked", "secret"),
    ("x-shimmy-key", f"Bearer {B}"),
    ("x-shimmy-issuer", "key"),
    ("x-shimmy-key-id", "sk-shimmy-spoofed0"),
    ("x-shimmy-engine-token", B_TOKEN),
    ("x-shimmy-priority", "99"),
    ("x-shimmy-weight", "98"),
    ("X-Shimmy-Tenant", "b"),
    ("x_shimmy_tenant", "b"),
    ("x-envoy-original-path", "/spoofed"),
    ("x-envoy-upstream-rq-timeout-ms", "12345"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-max-retries", "54321"),
    ("x-envoy-decorator-operation", "spoofed"),
    ("x-request-id", "spoofed"),
    ("x-original-url", "/admin/load"),
    ("x-rewrite-url", "/admin/load"),
    ("x-http-method-override", "DELETE"),
    ("x-forwarded-host", "elsewhere"),
]
UNKNOWN_OR_FOREIGN = ("secret", "secret-alias", "b/secret", "nope", "../b/secret", "SECRET", "common ", "b/secret~x")


@dataclass(frozen=True)
class World:
    """A router, and the pod behind all models."""

    plane: Plane
    pod: EchoPod

    def ask(self, data: bytes) -> Answer:
        return answer(self.plane.port, data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Tenant a owns `own`, b owns `secret`, and c shares `common` with everybody."""
    folder = tmp_path_factory.mktemp("matrix")
    objects = Objects(folder / "objects")
    with echo_pod() as pod:
        a = tenant("a", token=A_TOKEN, keys=[A, EXPIRED, REVOKED])
        a[0]["spec"]["keys"][1]["expiresAt"] = "2026-01-01T00:00:00Z"
        common = model("c", "common", ports=[pod.port])
        common[0]["spec"]["sharedWith"] = {"allTenants": True}
        objects.write("a", [*a, *model("a", "own", aliases=["alias"], ports=[pod.port]), *model("a", "cold")])
        objects.write(
            "b", [*tenant("b", token=B_TOKEN), *model("b", "secret", aliases=["secret-alias"], ports=[pod.port])]
        )
        objects.write("c", [*tenant("c", token=C_TOKEN), *common])
        with plane(folder, ["--directory", str(objects.folder)]) as started:
            found = World(started, pod)
            until(lambda: found.ask(_post(ROUTED[0], RIGHT["bearer"], "common")).status == 200, "all", seconds=20)
            revoked = _post(ROUTED[0], [("x-api-key", REVOKED)], "own")
            assert found.ask(revoked).status == 200
            a[1]["stringData"].pop("key.2")
            objects.write("a", [*a, *model("a", "own", aliases=["alias"], ports=[pod.port]), *model("a", "cold")])
            until(lambda: found.ask(revoked).status == 401, "a revoked key is refused", seconds=5)
            yield found


def _post(path: str, headers: Headers, name: str | None, **more: str) -> bytes:
    body = {"model": name} if name is not None else {}
    return request("POST", path, [("content-type", "application/json"), *headers], json.dumps(body | more).encode())


def _code(got: Answer) -> str:
    return str(json.loads(got.text.partition("\n\n")[2])["error"]["code"])


@pytest.mark.parametrize("path", ROUTED)
@pytest.mark.parametrize("extra", [[], SPOOFED], ids=["plain", "spoofed"])
def test_no_other_credential_lets_anybody_in(world: World, path: str, extra: Headers) -> None:
    surprises = []
    before = len(world.pod.told)
    for kind, credential in BAD.items():
        for name in ("own", "common", "secret", "nope", None):
            got = world.ask(_post(path, [*credential, *extra], name))
            if got.status != 401:
                surprises.append((kind, name, got))
    assert not surprises
    assert len(world.pod.told) == before


@pytest.mark.parametrize("path", ROUTED)
@pytest.mark.parametrize("extra", [[], SPOOFED], ids=["plain", "spoofed"])
def test_a_right_key_gets_own_and_shared_models(world: World, path: str, extra: Headers) -> None:
    surprises = []
    for kind, credential in RIGHT.items():
        for asked, name, owner_token in (
            ("own", "own", A_TOKEN),
            ("alias", "own", A_TOKEN),
            ("common", "common", C_TOKEN),
        ):
            got = world.ask(_post(path, [*credential, *extra], asked))
            told = world.pod.told[-1]
            seen = (told.tenant, told.model, told.headers.get("x-shimmy-engine-token"), told.path)
            if got.status != 200 or seen != ("a", name, owner_token, path) or _spoofed(told.headers):
                surprises.append((kind, asked, got))
    assert not surprises


@pytest.mark.parametrize("path", ROUTED)
@pytest.mark.parametrize("extra", [[], SPOOFED], ids=["plain", "spoofed"])
def test_a_right_key_gets_nothing_else(world: World, path: str, extra: Headers) -> None:
    surprises = []
    before = len(world.pod.told)
    for kind, credential in RIGHT.items():
        for name in UNKNOWN_OR_FOREIGN:
            got = world.ask(_post(path, [*credential, *extra], name))
            if got.status != 404:
                surprises.append((kind, name, got))
        cold = world.ask(_post(path, [*credential, *extra], "cold"))
        if cold.status != 503 or "retry-after" not in cold.text.lower():
            surprises.append((kind, "cold", cold))
    assert not surprises
    assert len(world.pod.told) == before


def _spoofed(headers: dict[str, str]) -> bool:
    """Whether anything that a stranger said of what the router says itself has reached the pod."""
    said = {
        value for name, value in SPOOFED if name.lower().startswith(("x-shimmy", "x_shimmy", "x-envoy", "x-request"))
    }
    return any(value in said and value != "key" for value in headers.values()) or A in str(headers) or B in str(headers)


@pytest.mark.parametrize("path", ROUTED)
def test_another_tenants_key_sees_that_tenants_models_only(world: World, path: str) -> None:
    for name, status, as_whom in (("own", 404, ""), ("alias", 404, ""), ("secret", 200, "b"), ("common", 200, "b")):
        before = len(world.pod.told)
        assert world.ask(_post(path, [("x-api-key", B), *SPOOFED], name)).status == status, name
        assert [told.tenant for told in world.pod.told[before:]] == ([as_whom] if as_whom else [])


@pytest.mark.parametrize("path", LISTED)
def test_lists_show_what_the_key_may_use(world: World, path: str) -> None:
    for credential in BAD.values():
        assert world.ask(request("GET", path, [*credential, *SPOOFED])).status == 401
    for credential in RIGHT.values():
        got = world.ask(request("GET", path, [*credential, *SPOOFED]))
        assert got.status == 200
        assert "secret" not in got.text
        assert path == "/api/version" or {"own", "common"} <= set(got.text.split('"'))


@pytest.mark.parametrize("path", [*ROUTED, *LISTED])
def test_other_methods_are_refused(world: World, path: str) -> None:
    surprises = []
    allowed = {"POST"} if path in ROUTED else {"GET", "HEAD"}
    for method in METHODS:
        if method in allowed:
            continue
        before = len(world.pod.told)
        with_key = world.ask(request(method, path, [*RIGHT["bearer"], *SPOOFED]))
        without = world.ask(request(method, path, SPOOFED))
        # Envoy's HTTP parser knows no method FOO, and refuses it before there is a request.
        if with_key.status not in ({400, 405} if method == "FOO" else {405}) or without.status not in {400, 401}:
            surprises.append((method, with_key, without))
        assert len(world.pod.told) == before
    assert not surprises


@pytest.mark.parametrize("path", ABSENT)
def test_nothing_is_at_other_paths(world: World, path: str) -> None:
    before = len(world.pod.told)
    for method in ("GET", "POST"):
        assert world.ask(request(method, path, RIGHT["bearer"])).status in {404, 405}
        assert world.ask(request(method, path)).status == 401
    assert len(world.pod.told) == before


TWICE: dict[str, Headers] = {
    "right and another's": [("authorization", f"Bearer {A}"), ("authorization", f"Bearer {B}")],
    "another's and right": [("authorization", f"Bearer {B}"), ("authorization", f"Bearer {A}")],
    "none and right": [("authorization", ""), ("authorization", f"Bearer {A}")],
    "listed": [("authorization", f"Bearer {A}, Bearer {B}")],
    "two x-api-key": [("x-api-key", A), ("x-api-key", B)],
}


@pytest.mark.parametrize("kind", TWICE)
def test_a_credential_that_is_sent_twice_never_mixes_tenants(world: World, kind: str) -> None:
    for name in ("own", "secret", "common"):
        before = len(world.pod.told)
        got = world.ask(_post(ROUTED[0], TWICE[kind], name))
        told = world.pod.told[before:]
        assert got.status in ({200} if told else {400, 401, 404})
        assert [t.model for t in told] in ([], [name])
        assert all(name != "own" or t.tenant == "a" for t in told)
        assert all(name != "secret" or t.tenant == "b" for t in told)


def test_the_authorization_header_comes_before_x_api_key(world: World) -> None:
    both = [("x-api-key", B), ("authorization", f"Bearer {A}")]
    assert world.ask(_post(ROUTED[0], both, "own")).status == 200
    assert world.ask(_post(ROUTED[0], both, "secret")).status == 404
    assert world.ask(_post(ROUTED[0], [("x-api-key", A), *BAD["malformed"]], "own")).status == 401


BODIES = {
    "twice": '{"model": "own", "model": "secret"}',
    "nested before": '{"metadata": {"model": "secret"}, "model": "own"}',
    "in a text": '{"prompt": "\\"model\\": \\"secret\\"", "model": "own"}',
    "in a list": '{"messages": [{"model": "secret"}, ["model", "secret"]], "model": "own"}',
    "escaped": '{"m\\u006fdel": "secret", "model": "own"}',
    "escaped value": '{"model": "\\u006fwn"}',
    "after an escaped quote": '{"a": "\\\\\\"", "model": "own"}',
    "with spaces": ' { "model" : "own" } ',
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_models_name_is_read_as_json_says(world: World, kind: str) -> None:
    before = len(world.pod.told)
    got = world.ask(request("POST", ROUTED[0], RIGHT["bearer"], BODIES[kind].encode()))
    assert got.status == 200
    assert [(told.tenant, told.model) for told in world.pod.told[before:]] == [("a", "own")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "missing_model"),
        (b"{}", "missing_model"),
        (b'{"model": 1}', "missing_model"),
        (b'{"model": null}', "missing_model"),
        (b'{"model": ["own"]}', "missing_model"),
        (b'{"model": ""}', "missing_model"),
        (b"own", "invalid_json"),
        (b'["model", "own"]', "invalid_json"),
        (b'"model"', "invalid_json"),
        (b'{"messages": [', "invalid_json"),
        (b"\x00\xff\xfe", "invalid_json"),
    ],
)
def test_a_body_without_a_model_is_refused_by_name(world: World, body: bytes, code: str) -> None:
    got = world.ask(request("POST", ROUTED[0], RIGHT["bearer"], body))
    assert (got.status, _code(got)) == (400, code)


def _tricks(path: str) -> list[str]:
    """Other ways to write a path, some of which are that path."""
    first, _, rest = path[1:].partition("/")
    return [
        f"/{path}",
        f"{path}/",
        f"{path}//",
        f"//{first}//{rest}",
        f"/./{first}/../{first}/{rest}",
        f"/x/..{path}",
        f"/%2e/{first}/{rest}",
        f"/{first}%2f{rest}",
        f"/{first}%5c{rest}",
        f"/{first}\\{rest}",
        path.upper(),
        f"{path};a=b",
        f"{path}?model=secret",
        f"{path}?x-shimmy-tenant=b",
        f"{path}%00",
        f"{path}%20",
        f"{path}%0d%0ax-shimmy-tenant:%20b",
        f"http://router{path}",
        f"http://b{path}",
        f"{path}/../../admin/load",
        f"/readyz{path}",
        f"/readyz/..{path}",
    ]


@pytest.mark.parametrize("path", ROUTED)
def test_no_way_to_write_a_path_leads_elsewhere(world: World, path: str) -> None:
    surprises: list[object] = []
    for trick in _tricks(path):
        for name in ("own", "secret"):
            before = len(world.pod.told)
            got = world.ask(_post(trick, RIGHT["bearer"], name))
            told = [(t.tenant, t.model, t.path) for t in world.pod.told[before:]]
            fine = told == [("a", "own", path)] if got.status == 200 else not told and 400 <= got.status < 500
            if not fine or (name == "secret" and got.status == 200):
                surprises.append((trick, name, got, told))
            without = world.ask(_post(trick, [], name))
            if without.status not in {400, 401} or len(world.pod.told) != before + len(told):
                surprises.append((trick, "no key", without))
    assert not surprises


INNER = request("POST", ROUTED[0], [("x-api-key", B)], b'{"model": "secret"}').replace(b"HTTP/1.1", b"HTTP/1.1", 1)
BODY = b'{"model": "own"}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def _smuggled(*headers: str, body: bytes, line: str = f"POST {ROUTED[0]} HTTP/1.1") -> bytes:
    lines = [line, "host: router", f"authorization: Bearer {A}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


SMUGGLED = {
    "length and chunked": _smuggled(
        f"content-length: {len(CHUNKED)}", "transfer-encoding: chunked", body=CHUNKED + INNER
    ),
    "chunked and length": _smuggled("transfer-encoding: chunked", "content-length: 4", body=CHUNKED + INNER),
    "two lengths": _smuggled(f"content-length: {len(BODY)}", "content-length: 0", body=BODY + INNER),
    "listed lengths": _smuggled(f"content-length: {len(BODY)}, 0", body=BODY + INNER),
    "signed length": _smuggled(f"content-length: +{len(BODY)}", body=BODY + INNER),
    "negative length": _smuggled("content-length: -1", body=BODY + INNER),
    "hexadecimal length": _smuggled(f"content-length: 0x{len(BODY):x}", body=BODY + INNER),
    "a blank before the colon": _smuggled(
        "transfer-encoding : chunked", f"content-length: {len(BODY)}", body=BODY + INNER
    ),
    "unknown coding": _smuggled("transfer-encoding: xchunked", f"content-length: {len(BODY)}", body=BODY + INNER),
    "two codings": _smuggled("transfer-encoding: chunked, identity", body=CHUNKED + INNER),
    "chunked twice": _smuggled("transfer-encoding: chunked", "transfer-encoding: chunked", body=CHUNKED + INNER),
    "a folded header": _smuggled("transfer-encoding:", " chunked", f"content-length: {len(BODY)}", body=BODY + INNER),
    "a bare line feed": _smuggled(f"content-length: {len(BODY)}\nx-api-key: {B}", body=BODY + INNER),
    "a bare carriage return": _smuggled(f"content-length: {len(BODY)}\rx-api-key: {B}", body=BODY + INNER),
    "a null": _smuggled(f"content-length: {len(BODY)}\0", body=BODY + INNER),
    "a chunk's length too long": _smuggled("transfer-encoding: chunked", body=b"1" * 20 + b"\r\n" + BODY + INNER),
    "a chunk's length with a sign": _smuggled(
        "transfer-encoding: chunked", body=b"+10\r\n" + BODY + b"\r\n0\r\n\r\n" + INNER
    ),
    "HTTP/1.0 and chunked": _smuggled(
        "transfer-encoding: chunked", body=CHUNKED + INNER, line=f"POST {ROUTED[0]} HTTP/1.0"
    ),
    "HTTP/0.9": _smuggled(body=BODY + INNER, line=f"POST {ROUTED[0]}"),
    "upgrade to h2c": _smuggled(
        "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA", body=INNER
    ),
}


@pytest.mark.parametrize("kind", SMUGGLED)
def test_no_request_hides_in_another_ones_body(world: World, kind: str) -> None:
    """Either the second request is refused with the first, or it is one of its own: b's, and told as b's."""
    before = len(world.pod.told)
    got = answers(world.plane.port, SMUGGLED[kind])
    told = [(t.tenant, t.model) for t in world.pod.told[before:]]
    assert told in ([], [("a", "own")], [("b", "secret")], [("a", "own"), ("b", "secret")])
    assert len([a for a in got if a.status == 200]) == len(told)
    # RFC 9112, section 6.1: 501 for a transfer coding that is not known.
    assert all(a.status < 500 or a.status == 501 for a in got)
