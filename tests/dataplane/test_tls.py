"""The router with a certificate of its own, and what happens when the Secret that holds it changes."""

import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.contract.running import TOKEN, Runner
from tests.dataplane.plane import HOST, START, Objects, Plane, chat, key_of, model, plane, tenant

from devkit.pki import Authority, Pair
from devkit.ports import free
from devkit.waiting import until

PATH = "/v1/chat/completions"
SECONDS = 10.0


class Secret:
    """A Secret as the kubelet mounts it: links into a folder that is exchanged as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0
        folder.mkdir()
        for entry in ("tls.crt", "tls.key"):
            (folder / entry).symlink_to(Path("..data", entry))

    def put(self, certificate: Path, key: Path) -> None:
        """Replace the content as kubernetes/pkg/volume/util/atomic_writer.go does."""
        self._versions += 1
        version = self.folder / f"..version_{self._versions}"
        version.mkdir()
        shutil.copy(certificate, version / "tls.crt")
        shutil.copy(key, version / "tls.key")
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")


@dataclass(frozen=True)
class Served:
    """A router with plain HTTP and HTTPS, and whom its clients trust."""

    plane: Plane
    port: int
    secret: Secret
    authority: Authority

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.files.certificate))

    def client(self, *, http2: bool = False) -> httpx.Client:
        headers = {"authorization": f"Bearer {key_of('a')}"}
        return httpx.Client(
            base_url=self.url, headers=headers, verify=self.trust(), http2=http2, timeout=30, trust_env=False
        )

    def certificate(self) -> bytes:
        """What a new connection is shown."""
        with (
            socket.create_connection((HOST, self.port), timeout=SECONDS) as plain,
            self.trust().wrap_socket(plain, server_hostname=HOST) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    def issue(self, name: str) -> Pair:
        return self.authority.server(name, [HOST])

    def serve(self, pair: Pair) -> None:
        """Put a pair into the Secret, and wait until new connections are shown it."""
        self.secret.put(pair.certificate, pair.key)
        expected = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
        until(lambda: self.certificate() == expected, "the new certificate", seconds=SECONDS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, engine: Runner) -> list[str]:
    """The agent's flags."""
    objects = Objects(tmp_path_factory.mktemp("tls") / "objects")
    port = httpx.URL(engine.url).port
    assert port
    objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", ports=[port])])
    return ["--directory", str(objects.folder)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, source: list[str]) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    authority, secret, (port,) = Authority(folder / "pki", "ca"), Secret(folder / "tls"), free(1)
    first = authority.server("first", [HOST])
    secret.put(first.certificate, first.key)
    with plane(folder, source, listen=["--tls-folder", str(secret.folder), "--tls-port", str(port)]) as started:
        found = Served(started, port, secret, authority)
        until(lambda: _status(found) == httpx.codes.OK, "tenant a is served", seconds=START)
        yield found


@pytest.mark.parametrize(("http2", "version"), [(False, "HTTP/1.1"), (True, "HTTP/2")])
def test_clients_speak_either_version_of_http_by_tls(served: Served, http2: bool, version: str) -> None:
    with served.client(http2=http2) as client:
        response = client.post(PATH, json=chat())
    assert (response.status_code, response.http_version) == (200, version)


def test_plain_http_is_still_there(served: Served) -> None:
    with served.plane.client(key_of("a")) as client:
        assert client.post(PATH, json=chat()).status_code == 200


def test_plain_http_is_not_understood_where_tls_is_expected(served: Served) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://{HOST}:{served.port}/readyz", trust_env=False)


def test_versions_before_tls_1_2_are_refused(served: Served) -> None:
    trust = served.trust()
    trust.set_ciphers("ALL:@SECLEVEL=0")  # else the client refuses by itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        trust.minimum_version, trust.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((HOST, served.port), timeout=SECONDS) as plain,
        pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"),
    ):
        trust.wrap_socket(plain, server_hostname=HOST)


def test_a_renewed_certificate_is_shown_to_new_connections_and_closes_none(served: Served) -> None:
    stop, statuses = threading.Event(), list[int]()

    def work() -> None:
        while not stop.is_set():
            statuses.append(_status(served))

    worker = threading.Thread(target=work)
    with served.client() as client:
        before = _local_address(client.get("/v1/models"))
        worker.start()
        try:
            for name in ("second", "third", "fourth"):
                served.serve(served.issue(name))
                seen = len(statuses)
                until(lambda: len(statuses) > seen + 1, "a whole request with the new certificate", seconds=30)  # noqa: B023
        finally:
            stop.set()
            worker.join(30)
        assert _local_address(client.get("/v1/models")) == before
    assert set(statuses) == {200}


def test_a_pair_that_does_not_fit_together_changes_nothing(served: Served) -> None:
    good, other = served.issue("good"), served.issue("other")
    served.serve(good)
    refused = _refusals(served)
    served.secret.put(other.certificate, good.key)
    until(lambda: _refusals(served) > refused, "Envoy has looked at the pair", seconds=SECONDS)
    assert served.certificate() == ssl.PEM_cert_to_DER_cert(good.certificate.read_text())
    assert _status(served) == 200
    served.serve(other)


def test_plain_http_can_be_left_out_and_readiness_is_still_answered(
    tmp_path: Path, served: Served, source: list[str]
) -> None:
    (port,) = free(1)
    listen = ["--no-plaintext", "--tls-folder", str(served.secret.folder), "--tls-port", str(port)]
    with plane(tmp_path, source, listen=listen, ready=False) as started:
        alone = Served(started, port, served.secret, served.authority)
        until(lambda: _ready(alone), "readiness", seconds=START)
        assert _status(alone) == 200
        with closing(socket.socket()) as probe:
            assert probe.connect_ex((HOST, started.port)) != 0


def test_a_router_without_a_usable_certificate_is_not_ready_until_it_has_one(
    tmp_path: Path, served: Served, source: list[str]
) -> None:
    one, other, secret, (port,) = served.issue("one"), served.issue("two"), Secret(tmp_path / "tls"), free(1)
    secret.put(one.certificate, other.key)
    with plane(tmp_path, source, listen=["--tls-folder", str(secret.folder), "--tls-port", str(port)]) as started:
        broken = Served(started, port, secret, served.authority)
        assert not _ready(broken)
        secret.put(one.certificate, one.key)
        until(lambda: _ready(broken), "readiness", seconds=START)
        assert _status(broken) == 200


def _ready(served: Served) -> bool:
    """As the kubelet asks: it verifies no certificate."""
    try:
        return httpx.get(f"{served.url}/readyz", verify=False, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _status(served: Served) -> int:
    with served.client() as client:
        return client.post(PATH, json=chat()).status_code


def _refusals(served: Served) -> int:
    """How many times Envoy refused what the Secret holds."""
    transport = httpx.HTTPTransport(uds=str(served.plane.run / "admin.sock"))
    with httpx.Client(transport=transport, base_url="http://envoy", trust_env=False) as admin:
        line = admin.get("/stats", params={"filter": "^sds.server.key_rotation_failed$"}).text
    return int(line.rpartition(": ")[2])


def _local_address(response: httpx.Response) -> object:
    """The client's end of the connection that the response came on."""
    return response.extensions["network_stream"].get_extra_info("client_addr")
