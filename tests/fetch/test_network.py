"""Proxies and certificate authorities hold for every scheme."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.fakes.web import serving
from tests.fetch.hubs import COMMIT, REPOSITORY, hub
from tests.fetch.registries import Registry
from tests.fetch.stores import KEY, SECRET, Store, store

from devkit.pki import Authority, Pair
from shimmy_engine.fetch.file import fetch_file
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.gguf_header import GgufError

SCHEMES = ("http", "s3", "oci", "hf")


@dataclass
class Proxy:
    """A forward proxy for plain HTTP (RFC 9112, 3.2.2) and the hosts that were asked for through it."""

    url: str = ""
    hosts: set[str] = field(default_factory=set)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    found = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.hosts.add(urlsplit(self.path).netloc)
            headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
            with httpx.Client(trust_env=False) as client:
                answer = client.get(self.path, headers=headers)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sources(
    model: bytes, s3: Store, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, tuple[str, str]]]:
    """A source of each scheme and the host that it is at."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    registry.push("models/network", "v1", {"toy.gguf": model})
    with serving(model) as web, hub({"toy.gguf": model}) as hugging_face:
        monkeypatch.setenv("HF_ENDPOINT", hugging_face.url)
        yield {
            "http": (f"{web.url}/toy.gguf", urlsplit(web.url).netloc),
            "s3": (s3.url("llm/toy%20one.gguf"), urlsplit(s3.endpoint).netloc),
            "oci": (f"oci://{registry.address}/models/network:v1", registry.address),
            "hf": (f"hf://{REPOSITORY}@{COMMIT}/toy.gguf", urlsplit(hugging_face.url).netloc),
        }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_is_used(
    sources: dict[str, tuple[str, str]],
    scheme: str,
    model: bytes,
    destination: Path,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    source, host = sources[scheme]
    fetch_file(source, destination, hashlib.sha256(model).hexdigest())
    assert destination.read_bytes() == model
    assert host in proxy.hosts


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_proxy_is_used_for_what_is_excepted(
    sources: dict[str, tuple[str, str]],
    scheme: str,
    model: bytes,
    destination: Path,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fetch_file(sources[scheme][0], destination, hashlib.sha256(model).hexdigest())
    assert not proxy.hosts


@dataclass(frozen=True)
class Trust:
    """An authority that only its file makes known, and a certificate of its own."""

    authority: Path
    pair: Pair


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    authority = Authority(tmp_path_factory.mktemp("pki"), "private")
    return Trust(authority.files.certificate, authority.server("server", ["127.0.0.1"]))


@pytest.fixture(params=["s3", "hf"])
def encrypted(
    request: pytest.FixtureRequest, trust: Trust, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A source behind TLS with a certificate of the private authority."""
    if request.param == "s3":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        with store(tmp_path / "store", trust.pair) as running:
            running.put("toy.gguf", model)
            yield running.url("toy.gguf")
        return
    with hub({"toy.gguf": model}, trust.pair) as hugging_face:
        monkeypatch.setenv("HF_ENDPOINT", hugging_face.url)
        yield f"hf://{REPOSITORY}@{COMMIT}/toy.gguf"


def test_a_private_authority_is_trusted_when_it_is_made_known_and_not_before(
    encrypted: str, model: bytes, destination: Path, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(model).hexdigest()
    with pytest.raises(GgufError) as caught:
        fetch_file(encrypted, destination, digest)
    assert caught.value.reason == "SourceUntrusted"
    fetch_file(encrypted, destination, digest, FetchOptions(ca_file=trust.authority))
    assert destination.read_bytes() == model
    destination.unlink()
    monkeypatch.setenv("SSL_CERT_FILE", str(trust.authority))
    fetch_file(encrypted, destination, digest)
    assert destination.read_bytes() == model


def test_a_file_that_holds_no_certificates_is_told(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    for path in (tmp_path / "ca.crt", tmp_path / "absent.crt"):
        with pytest.raises(GgufError) as caught:
            fetch_file("https://127.0.0.1:1/x.gguf", destination, "0" * 64, FetchOptions(ca_file=path))
        assert caught.value.reason == "CertificatesInvalid"


def test_a_setting_that_names_no_certificates_is_told(
    destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.crt"))
    with pytest.raises(GgufError) as caught:
        fetch_file("https://127.0.0.1:1/x.gguf", destination, "0" * 64)
    assert (caught.value.reason, "SSL_CERT_FILE" in caught.value.message) == ("CertificatesInvalid", True)


def test_a_bearer_token_and_a_login_are_shown_to_a_web_server(
    model: bytes, destination: Path, secret: Path, tmp_path: Path
) -> None:
    digest = hashlib.sha256(model).hexdigest()
    with serving(model) as web:
        with pytest.raises(GgufError, match="lack token, or username and password"):
            fetch_file(f"{web.url}/toy.gguf", destination, digest, FetchOptions(credentials=secret))
        (secret / "username").write_text("me")
        (secret / "password").write_text("it")
        fetch_file(f"{web.url}/toy.gguf", destination, digest, FetchOptions(credentials=secret))
        assert set(web.authorizations) == {"Basic bWU6aXQ="}
        (secret / "token").write_text("a-token")
        fetch_file(f"{web.url}/toy.gguf", tmp_path / "again.gguf", digest, FetchOptions(credentials=secret))
        assert web.authorizations[-1] == "Bearer a-token"
