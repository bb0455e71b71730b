"""The metrics server as two processes, with its ServiceAccount's rights, behind a real API server."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tests.api.agents import identity
from tests.api.process import NAMESPACE

from devkit import ports
from devkit.cluster import Cluster
from devkit.cluster.client import ApiError, Client
from devkit.paths import REPOSITORY
from devkit.pki import Authority, Pair
from devkit.waiting import until
from shimmy_api.load import LOADS_PATH, METER_AUDIENCE, LoadReport

GROUP: Final = "/apis/external.metrics.k8s.io/v1beta1"
_API_SERVICES: Final = "/apis/apiregistration.k8s.io/v1/apiservices"
_SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
_API_SERVICE: Final = "v1beta1.external.metrics.k8s.io"
_SERVICE: Final = "shimmy-meter"
_START: Final = 30
ROUTER: Final = "shimmy-router"
OPERATOR: Final = "shimmy-operator"
_TOKEN_SECONDS: Final = 3600


class Meters:
    """Replicas of the metrics server, and what is around them."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.host = address()
        self.ports = ports.free(2, self.host)
        self.authority = Authority(folder, "ca")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.routers_token = ""

    def new_certificate(self) -> None:
        """Put another one into the place of the last, as the kubelet does: by a link that is renamed."""
        pair = self.authority.server("server", [_SERVICE, f"{_SERVICE}.{NAMESPACE}.svc", self.host])
        made = self.folder / f"tls-{os.urandom(4).hex()}"
        made.mkdir()
        (made / "tls.crt").write_bytes(pair.certificate.read_bytes())
        (made / "tls.key").write_bytes(pair.key.read_bytes())
        link = self.folder / "tls.new"
        link.symlink_to(made)
        link.rename(self.folder / "tls")

    def shown(self, replica: int) -> str:
        """The certificate that a replica shows in a new handshake, PEM."""
        return ssl.get_server_certificate((self.host, self.ports[replica]))

    def certificate(self) -> str:
        """The one that is there, PEM."""
        return (self.folder / "tls/tls.crt").read_text()

    def direct(self, replica: int, pair: Pair | None = None) -> "Direct":
        """Requests past the API server."""
        context = ssl.create_default_context(cafile=str(self.authority.files.certificate))
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        return Direct(f"https://{self.host}:{self.ports[replica]}", context)

    def token(
        self, account: str, audience: str = METER_AUDIENCE, pod: str | None = None, namespace: str = NAMESPACE
    ) -> str:
        """A token as the kubelet has it made for an account, bound to a pod if one is named.

        Both are made here, unless another namespace is named.
        """
        made = [_account(account)] if namespace == NAMESPACE else []
        spec: dict[str, Any] = {"audiences": [audience], "expirationSeconds": _TOKEN_SECONDS}
        if pod:
            made += [_pod(pod, account)] if namespace == NAMESPACE else []
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod}
        for manifest in made:
            self.cluster.kubectl("apply", "--server-side", "-f", "-", standard_input=json.dumps(manifest))
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.cluster.client.json(path, "POST", asked)["status"]["token"])

    def mount(self, account: str, namespace: str = NAMESPACE, pod: str | None = None) -> Path:
        """A folder with what is mounted into the pods of an account; see `token`."""
        made = self.folder / f"mount-{namespace}-{account}"
        made.mkdir()
        (made / "ca.crt").write_bytes(self.authority.files.certificate.read_bytes())
        (made / "token").write_text(self.token(account, pod=pod, namespace=namespace))
        return made

    def options(self, mount: Path) -> tuple[str, ...]:
        """Of an agent that is to report."""
        return ("--meter", f"https://{self.host}:{self.ports[0]}", "--meter-folder", str(mount))

    def report(self, report: LoadReport) -> None:
        """Tell all replicas, as a router does."""
        for replica in range(len(self.ports)):
            code, text = self.post(self.routers_token, report, replica)
            assert code == HTTPStatus.NO_CONTENT, text

    def post(self, token: str, report: LoadReport, replica: int = 0) -> tuple[int, str]:
        """Tell one replica: code and body of its answer."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.direct(replica).ask(LOADS_PATH, headers, report.model_dump_json(by_alias=True))

    def loads(self, token: str, replica: int = 0) -> tuple[int, str]:
        """Ask one replica for what was told, as the operator does: code and body of its answer."""
        return self.direct(replica).ask(LOADS_PATH, {"Authorization": f"Bearer {token}"})

    def available(self) -> bool:
        """Whether the API server passes requests on."""
        found = self.cluster.client.json(f"{_API_SERVICES}/{_API_SERVICE}")
        conditions = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", ())}
        return conditions.get("Available") == "True"

    def start(self) -> None:
        """Start the replicas."""
        self.new_certificate()
        self.routers_token = self.token(ROUTER)
        self.processes = [self._start(port) for port in self.ports]
        for replica in range(len(self.ports)):
            until(lambda: self.ready(replica), "the metrics server is ready", seconds=_START)  # noqa: B023 - called at once

    def kill(self, replica: int) -> None:
        """End a replica without a word, and start another one in its place."""
        self.processes[replica].kill()
        self.processes[replica].wait()
        self.processes[replica] = self._start(self.ports[replica])

    def _start(self, port: int) -> "subprocess.Popen[bytes]":
        config = str(self.cluster.credentials(*identity(NAMESPACE, _SERVICE)))
        command = [sys.executable, "-m", "shimmy_meter", "serve", "--host", self.host, "--port", str(port)]
        command += ["--metrics-port", "0"]
        command += ["--tls-folder", str(self.folder / "tls"), "--kubeconfig", config, "--leave-seconds", "0"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONASYNCIODEBUG": "1"}
        with (self.folder / f"{port}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def ready(self, replica: int) -> bool:
        """Whether a replica says so."""
        port = self.ports[replica]
        assert self.processes[replica].poll() is None, (self.folder / f"{port}.log").read_text()
        try:
            return self.direct(replica).ask("/readyz")[0] == HTTPStatus.OK
        except OSError:
            return False

    def stop(self) -> None:
        """End all that run."""
        running = [process for process in self.processes if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=10) for process in running]
        assert not any(codes), codes


class Direct:
    """Requests to one replica."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def ask(self, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> tuple[int, str]:
        """Code and body of the answer; a POST if there is a body."""
        data = body.encode() if body is not None else None
        request = urllib.request.Request(self._url + path, data, headers or {})
        try:
            with self._opener.open(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def meters(cluster: Cluster, folder: Path) -> Iterator[Meters]:
    """Two replicas that the API server passes external metrics on to."""
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_meter/rbac.yaml"))
    made = Meters(cluster, folder)
    try:
        made.start()
        manifests = [_service(), *(_slice(made.host, port) for port in made.ports), _api_service(made.authority)]
        listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
        cluster.kubectl("apply", "--server-side", "-f", "-", standard_input=json.dumps(listed))
        try:
            until(made.available, "the API server finds the metrics server", seconds=_START)
            yield made
        finally:
            cluster.client.json(f"{_API_SERVICES}/{_API_SERVICE}", "DELETE")
            # The next ones have other ports: the API server would ask these too.
            cluster.client.json(f"{_SLICES}?labelSelector=kubernetes.io%2Fservice-name%3D{_SERVICE}", "DELETE")
    finally:
        made.stop()


def code(client: Client, path: str) -> int:
    """HTTP status of a GET."""
    try:
        client.text(path)
    except ApiError as error:
        return error.code
    return HTTPStatus.OK


def address() -> str:
    """An address of this machine that the API server takes as an endpoint: not a loopback one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        return str(probe.getsockname()[0])


def _account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}


def _pod(name: str, account: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"serviceAccountName": account, "containers": [{"name": "agent", "image": "agent"}]},
    }


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _SERVICE, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "https", "port": 443}]},
    }


def _slice(host: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{_SERVICE}-{port}",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": _SERVICE},
        },
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
    }


def _api_service(authority: Authority) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _API_SERVICE},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": _SERVICE, "namespace": NAMESPACE, "port": 443},
            "caBundle": base64.b64encode(authority.files.certificate.read_bytes()).decode(),
        },
    }
