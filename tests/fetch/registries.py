"""The real registry (github.com/distribution/distribution), and a token server that it trusts."""

import base64
import datetime as dt
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from tests.fetch.running import running

from devkit import binaries, ports
from devkit.pki import Authority

USER: Final = "reader"
PASSWORD: Final = "a-password"
_HTPASSWD: Final = f"{USER}:$2a$04$CJe1GLUgcMCilflyl9vVQ.dyQqZH5cWqnUqHhmHoHm2s94I7WtdYG\n"  # bcrypt of PASSWORD
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_SERVICE: Final = "tests"


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry on loopback; `auth` is what its own pushes are made with."""

    address: str
    auth: httpx.Auth | None = None

    def push(
        self, repository: str, tag: str, files: dict[str, bytes], media_type: str = "application/octet-stream"
    ) -> str:
        """Push an artifact of one layer per file, titled with its name; returns the manifest's digest."""
        layers = [
            {**self._blob(repository, content), "mediaType": media_type, "annotations": _title(name)}
            for name, content in files.items()
        ]
        config = {**self._blob(repository, b"{}"), "mediaType": "application/vnd.oci.empty.v1+json"}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": "application/vnd.example.model",
            "config": config,
            "layers": layers,
        }
        return self._manifest(repository, tag, manifest)

    def push_index(self, repository: str, tag: str, digests: list[str]) -> str:
        """Push an index of manifests that are there."""
        entries = [{"mediaType": _MANIFEST, "digest": digest, "size": 1} for digest in digests]
        for entry in entries:
            answer = self._call("GET", f"{repository}/manifests/{entry['digest']}", headers={"accept": _MANIFEST})
            entry["size"] = len(answer.content)
        return self._manifest(repository, tag, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries})

    def _blob(self, repository: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = self._call("POST", f"{repository}/blobs/uploads/").headers["location"]
        answer = httpx.put(httpx.URL(place).copy_merge_params({"digest": digest}), content=content, auth=self.auth)
        answer.raise_for_status()
        return {"digest": digest, "size": len(content)}

    def _manifest(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        headers = {"content-type": str(manifest["mediaType"])}
        answer = self._call("PUT", f"{repository}/manifests/{tag}", content=json.dumps(manifest), headers=headers)
        return str(answer.headers["docker-content-digest"])

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = httpx.request(method, f"http://{self.address}/v2/{path}", auth=self.auth, **more)
        answer.raise_for_status()
        return answer


def _title(name: str) -> dict[str, str]:
    return {"org.opencontainers.image.title": name} if name else {}


@contextmanager
def registry(folder: Path, auth: dict[str, Any] | None = None) -> Iterator[str]:
    """A registry whose data is in `folder`; yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = ports.free(1)[0]
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "log": {"level": "error", "accesslog": {"disabled": True}},
        **({"auth": auth} if auth else {}),
    }
    (folder / "settings.yml").write_text(json.dumps(settings))
    command = [str(binaries.ensure("registry")), "serve", str(folder / "settings.yml")]
    with running(command, port, folder / "log", {"OTEL_TRACES_EXPORTER": "none"}):
        yield f"127.0.0.1:{port}"


@contextmanager
def open_registry(folder: Path) -> Iterator[Registry]:
    """One that asks for nothing."""
    with registry(folder) as address:
        yield Registry(address)


@contextmanager
def basic_registry(folder: Path) -> Iterator[Registry]:
    """One that asks for USER and PASSWORD."""
    folder.mkdir(parents=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    with registry(folder, {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}) as address:
        yield Registry(address, httpx.BasicAuth(USER, PASSWORD))


@dataclass(slots=True)
class TokenServer:
    """Gives tokens to those who know USER and PASSWORD, as https://distribution.github.io/distribution/spec/auth/token/."""

    key: ec.EllipticCurvePrivateKey
    certificate: bytes
    url: str = ""
    lifetime: int = 60
    issued: list[str] = field(default_factory=list)
    """Scopes of the tokens that were given."""

    def token(self, scope: str) -> str:
        """A signed token for a scope such as `repository:models/tiny:pull`."""
        kind, name, actions = re.fullmatch("(.*?):(.*):(.*)", scope).groups()  # type: ignore[union-attr]
        now = int(dt.datetime.now(dt.UTC).timestamp())
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(self.certificate).decode()]}
        body = {
            "iss": "tests",
            "sub": USER,
            "aud": _SERVICE,
            "iat": now,
            "nbf": now - 30,
            "exp": now + self.lifetime,
            "jti": str(len(self.issued)),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        self.issued.append(scope)
        text = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_base64(r.to_bytes(32) + s.to_bytes(32))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def token_registry(folder: Path) -> Iterator[tuple[Registry, TokenServer]]:
    """One that asks for a token of a server of its own."""
    authority = Authority(folder / "pki", "tokens")
    key = serialization.load_pem_private_key(authority.files.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate(authority.files.certificate.read_bytes())
    tokens = TokenServer(key, certificate.public_bytes(serialization.Encoding.DER))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if self.headers["authorization"] != expected:
                self.send_error(401)
                return
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            body = json.dumps({"token": tokens.token(query["scope"][0])}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    tokens.url = f"http://127.0.0.1:{server.server_port}/token"
    bundle = str(authority.files.certificate)
    settings = {"realm": tokens.url, "service": _SERVICE, "issuer": "tests", "rootcertbundle": bundle}
    try:
        with registry(folder, {"token": settings}) as address:
            yield Registry(address), tokens
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
