"""What a benchmark of proxies runs: the stubs that answer, the plain proxy before them, and our router before them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from devkit import binaries
from devkit.ports import free
from devkit.waiting import until

HOST: Final = "127.0.0.1"
KEY: Final = "sk-shimmy-bench000-0123456789abcdef0123456789abcdef"
MODEL: Final = "m"
ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 14},
    }
)
_HTTP: Final = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_UPSTREAM: Final = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_START_SECONDS: Final = 120
"""The longest that a proxy may take on a busy machine: LiteLLM imports for half a minute."""


class Proxy(NamedTuple):
    """A proxy that runs."""

    port: int
    process: int
    agent: int | None = None
    """Our router's second process."""


@contextmanager
def stub(folder: Path) -> Iterator[int]:
    """An Envoy that answers every request itself, in one piece; its port."""
    (port,) = free(1)
    headers = [
        {"header": {"key": key, "value": value}}
        for key, value in (
            ("x-shimmy-prompt-tokens", "12"),
            ("x-shimmy-completion-tokens", "2"),
            ("content-type", "application/json"),
        )
    ]
    route = {"direct_response": {"status": 200, "body": {"inline_string": ANSWER}}, "response_headers_to_add": headers}
    with _envoy(folder / "stub", _static(port, route, [])):
        yield port


@contextmanager
def stream_stub(folder: Path, events: int) -> Iterator[int]:
    """A server that answers every request by a stream of so many events, each written by itself; its port."""
    (port,) = free(1)
    answer = folder / "events"
    answer.write_text(_stream(events), encoding="utf-8")
    with process([str(binaries.ensure("sse")), f"{HOST}:{port}", str(answer)], folder / "sse.log"):
        yield port


@contextmanager
def plain(folder: Path, upstream: int) -> Iterator[Proxy]:
    """An Envoy that passes everything on."""
    (port,) = free(1)
    endpoint = {"endpoint": {"address": _address(upstream)}}
    options = {"@type": _UPSTREAM, "explicit_http_config": {"http2_protocol_options": {}}}
    cluster = {
        "name": "stub",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "stub", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
    with _envoy(folder / "plain", _static(port, {"route": {"cluster": "stub"}}, [cluster])) as process:
        yield Proxy(port, process)


@contextmanager
def router(folder: Path, *upstreams: int) -> Iterator[tuple[int, int]]:
    """Our Envoy and its agent, with one tenant and its pods at these ports; port and process of Envoy."""
    with shimmy(folder, *upstreams) as (port, process, _):
        yield port, process


@contextmanager
def shimmy(folder: Path, *upstreams: int) -> Iterator[Proxy]:
    """The same, with the agent's process."""
    port, metrics = free(2)
    run, objects = folder / "run", folder / "objects"
    run.mkdir()
    objects.mkdir()
    (objects / "fleet.yaml").write_text(yaml.safe_dump_all(_objects(upstreams)), encoding="utf-8")
    program = [sys.executable, "-m", "shimmy_router"]
    subprocess.run([*program, "bootstrap", "--run", str(run), "--address", HOST, "--port", str(port)], check=True)
    agent = [*program, "agent", "--run", str(run), "--directory", str(objects), "--host", HOST]
    with process([*agent, "--metrics-port", str(metrics), "--debug-port", "0"], folder / "agent.log") as beside:
        configuration = json.loads((run / "envoy.json").read_text(encoding="utf-8"))
        with _envoy(folder / "router", configuration) as envoy:
            yield Proxy(port, envoy, beside)


def _objects(ports: Sequence[int]) -> list[dict[str, Any]]:
    meta = {"namespace": "shimmy-bench", "creationTimestamp": "2026-01-01T00:00:00Z"}
    secret = {"engineToken": "bench-engine-token-00", "key.default": KEY}
    return [
        {"kind": "ShimmyTenant", "metadata": {"name": "bench", **meta}, "spec": {}},
        {
            "kind": "Secret",
            "type": "shimmy.dev/tenant-keys",
            "metadata": {"name": "shimmy-keys-bench", "namespace": "s", "labels": {"shimmy.dev/keys": "bench"}},
            "stringData": secret,
        },
        {
            "kind": "ShimmyModel",
            "metadata": {"name": MODEL, **meta},
            "spec": {"backend": {"gguf": {"source": "pvc://models/m.gguf"}}},
        },
        {"kind": "ShimmyInstance", "metadata": {"name": "i", **meta}, "spec": {"models": [MODEL]}},
        *(_slice(port, meta) for port in ports),
    ]


def _slice(port: int, meta: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": f"i-m-{port}", **meta, "labels": {"shimmy.dev/model": MODEL}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
    }


def _static(port: int, route: dict[str, Any], clusters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        "@type": _HTTP,
        "stat_prefix": "bench",
        "route_config": {
            "max_direct_response_body_size_bytes": 1024 * 1024,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}],
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "bench", "address": _address(port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": list(clusters)}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


@contextmanager
def _envoy(path: Path, configuration: dict[str, Any]) -> Iterator[int]:
    path.with_suffix(".json").write_text(json.dumps(configuration), encoding="utf-8")
    command = ["envoy", "-c", str(path.with_suffix(".json")), "--concurrency", "1", "--use-dynamic-base-id"]
    with process([*command, "--log-level", "error"], path.with_suffix(".log")) as started:
        yield started


@contextmanager
def process(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """A process that is stopped at the end; its id."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as started:
        try:
            yield started.pid
        finally:
            started.terminate()


def _stream(events: int) -> str:
    def event(delta: dict[str, str], reason: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        named = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
        return f"data: {json.dumps(named | {'choices': [choice]})}\n\n"

    pieces = (event({"content": " word"}, None) for _ in range(events - 2))
    return "".join((*pieces, event({}, "stop"), "data: [DONE]\n\n"))


def answers(port: int, *, stream: bool = False) -> None:
    """Wait until a proxy answers the benchmark's request with 200."""
    body = json.dumps(BODY | {"stream": stream})
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{HOST}:{port}/v1/chat/completions"]
    command += ["-H", f"authorization: Bearer {KEY}", "-H", "content-type: application/json", "-d", body]
    until(
        lambda: subprocess.run(command, capture_output=True, text=True, check=False).stdout == "200",
        f"port {port}",
        seconds=_START_SECONDS,
    )


BODY: Final = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Say hello to the world, please, in one short sentence."}],
    "max_tokens": 64,
    "temperature": 0.7,
}
