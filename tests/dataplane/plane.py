"""A router in processes of its own: real Envoy and agent, with the fleet's objects in files."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from devkit.ports import free
from devkit.waiting import until

HOST = "127.0.0.1"
START = 60.0
Manifest = dict[str, Any]


class Objects:
    """The directory that the agent reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, name: str, manifests: Sequence[Manifest]) -> None:
        """Replace one file at once."""
        partial = self.folder / f".{name}"
        partial.write_text(yaml.safe_dump_all(manifests))
        partial.rename(self.folder / f"{name}.yaml")


class Plane:
    """Envoy and agent."""

    def __init__(self, folder: Path, source: Sequence[str], listen: Sequence[str] = ()) -> None:
        self.run = folder / "run"
        self.run.mkdir(exist_ok=True)
        self.log_file = folder / "log"
        """What both print."""
        self._log = self.log_file.open("wb")
        self.port, self.metrics_port, self.debug_port = free(3)
        self._source = source
        self.url = f"http://{HOST}:{self.port}"
        self.agent: subprocess.Popen[bytes] | None = None
        command = [sys.executable, "-m", "shimmy_router", "bootstrap", "--run", str(self.run)]
        subprocess.run([*command, "--address", HOST, "--port", str(self.port), *listen], check=True)
        self.start_agent()
        self.start_envoy()

    def start_envoy(self) -> None:
        command = ["envoy", "-c", str(self.run / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id"]
        command += ["--file-flush-interval-msec", "1000", "--log-level", "warning"]
        command += ["--component-log-level", "config:error"]  # as in the chart
        self.envoy = self._start(command)

    def kill_envoy(self) -> None:
        self.envoy.kill()
        self.envoy.wait()

    def start_agent(self) -> None:
        command = [sys.executable, "-m", "shimmy_router", "agent", "--run", str(self.run), *self._source]
        ports = ["--metrics-port", str(self.metrics_port), "--debug-port", str(self.debug_port)]
        self.agent = self._start([*command, "--host", HOST, *ports])

    def kill_agent(self) -> None:
        assert self.agent
        self.agent.kill()
        self.agent.wait()

    def drain(self) -> None:
        """What the preStop hook of Envoy's container does."""
        command = [sys.executable, "-m", "shimmy_router", "drain", "--run", str(self.run), "--seconds", "30"]
        subprocess.run(command, check=True, env=os.environ)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def metrics(self) -> str:
        try:
            return httpx.get(f"http://{HOST}:{self.metrics_port}/metrics", trust_env=False).text
        except httpx.TransportError:
            return ""

    def client(self, key: str = "") -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def stop(self) -> None:
        for process in (self.envoy, self.agent):
            assert process
            process.send_signal(signal.SIGTERM)
        for process in (self.envoy, self.agent):
            assert process
            process.wait(20)
        self._log.close()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=self._log, stderr=self._log, env=os.environ)


@contextmanager
def plane(folder: Path, source: Sequence[str], *, listen: Sequence[str] = (), ready: bool = True) -> Iterator[Plane]:
    """A router that is stopped at the end. `listen`: flags of its bootstrap."""
    started = Plane(folder, source, listen)
    try:
        if ready:
            until(started.ready, "the router", seconds=START)
        yield started
    finally:
        started.stop()


def key_of(tenant: str, *, number: int = 0) -> str:
    """A well-formed API key."""
    return f"sk-shimmy-{tenant:x>7}{number}-{'0123456789abcdef' * 2}"


def tenant(
    name: str,
    *,
    token: str,
    keys: Sequence[str] | None = None,
    policies: Mapping[str, Mapping[str, Any]] | None = None,
    jwks: Mapping[str, str] | None = None,
    **spec: Any,
) -> list[Manifest]:
    """A tenant and its mirrored keys, named by their number; `policies` adds to their entries in the spec.

    `jwks` has the issuer's keys by the name of the entry for such tokens.
    """
    values = {str(index): key for index, key in enumerate([key_of(name)] if keys is None else keys)}
    entries = {f"key.{entry}": key for entry, key in values.items()}
    entries |= {f"jwks.{entry}": keys for entry, keys in (jwks or {}).items()}
    return [
        {
            "apiVersion": "shimmy.dev/v1alpha1",
            "kind": "ShimmyTenant",
            "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"keys": [{"name": entry, **(policies or {}).get(entry, {})} for entry in values], **spec},
            "status": {"namespace": f"shimmy-{name}"},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "shimmy.dev/tenant-keys",
            "metadata": {
                "name": f"shimmy-keys-{name}",
                "namespace": "shimmy-system",
                "labels": {"shimmy.dev/keys": name},
            },
            "stringData": {"engineToken": token, **entries},
        },
    ]


def model(
    tenant_name: str, name: str, *, aliases: Sequence[str] = (), host: str = HOST, ports: Sequence[int] = ()
) -> list[Manifest]:
    """A model, an instance that serves it, and its pods, each a port of the host."""
    namespace = f"shimmy-{tenant_name}"
    meta = {"namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    source = {"gguf": {"source": f"pvc://models/{name}.gguf"}}
    slices = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"i-{name}-{port}", "namespace": namespace, "labels": {"shimmy.dev/model": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port}],
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        }
        for port in ports
    ]
    return [
        {
            "apiVersion": "shimmy.dev/v1alpha1",
            "kind": "ShimmyModel",
            "metadata": {"name": name, **meta},
            "spec": {"backend": source, "aliases": list(aliases)},
        },
        {
            "apiVersion": "shimmy.dev/v1alpha1",
            "kind": "ShimmyInstance",
            "metadata": {"name": f"i-{name}", **meta},
            "spec": {"models": [name]},
        },
        *slices,
    ]


def chat(text: str = "hello world", model_name: str = "m", **options: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": model_name, "messages": [{"role": "user", "content": text}], **options}
