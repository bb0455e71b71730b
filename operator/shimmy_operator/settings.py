"""The operator's settings: flags, each with an environment variable of the same name."""

import argparse
import contextlib
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from shimmy_operator.reconcile.certificate import Certificate
from shimmy_operator.render.context import AllowedEgress, Context, FetchNetwork

_REGISTRY = "shimmy.dev"
_VERSION = "0.1.0"
_HTTP = 80
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator is told at its start."""

    context: Context
    kubeconfig: str | None
    """None where the operator runs in the cluster that it manages."""
    kube_context: str | None
    resync_seconds: float
    host: str
    metrics_port: int
    health_port: int
    log_level: str
    meter_url: str
    """Base URL of the metrics server; empty for none."""
    meter_folder: Path
    """Has `ca.crt` and `token` for it."""
    meter_certificate: Certificate | None = None
    """None where there is no metrics server."""


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line; --help and a bad value end the process, as argparse does."""
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    if given.router_meter and not given.meter_tls:
        parser.error("--router-meter needs --meter-tls: the routers would not know whom to trust")
    endpoint = given.endpoint or f"http://shimmy-router.{given.router_namespace}.svc/v1"
    api_server = [environment["KUBERNETES_SERVICE_HOST"]] if environment.get("KUBERNETES_SERVICE_HOST") else []
    context = Context(
        router_namespace=given.router_namespace,
        endpoint=endpoint,
        llama_image=given.engine_image_llama,
        airframe_image=given.engine_image_airframe,
        router_image=given.router_image,
        router_meter=given.router_meter,
        image_pull_policy=given.engine_image_pull_policy,
        fetch_egress=(*given.fetch_egress, *_proxy_egress(given.fetch_http_proxy, given.fetch_https_proxy)),
        fetch_network=FetchNetwork(
            http_proxy=given.fetch_http_proxy or None,
            https_proxy=given.fetch_https_proxy or None,
            no_proxy=given.fetch_no_proxy or None,
            ca_bundle=given.fetch_ca_file,
            offline=given.fetch_offline,
            hub_endpoint=given.fetch_hub_endpoint or None,
            s3_endpoint=given.fetch_s3_endpoint or None,
            s3_region=given.fetch_s3_region or None,
        ),
        api_server_addresses=tuple(ip_address(address) for address in [*api_server, *given.api_server_addresses]),
    )
    return Settings(
        context=context,
        kubeconfig=given.kubeconfig,
        kube_context=given.kube_context,
        resync_seconds=given.resync_seconds,
        host=given.host,
        metrics_port=given.metrics_port,
        health_port=given.health_port,
        log_level=given.log_level,
        meter_url=given.meter_url,
        meter_folder=Path(given.meter_folder),
        meter_certificate=Certificate(given.router_namespace, given.meter_tls, issued=given.meter_tls_issue)
        if given.meter_tls
        else None,
    )


def parse_egress(text: str) -> tuple[AllowedEgress, ...]:
    """Blocks as `10.0.0.0/8 192.0.2.0/24=443,8443`: separated by spaces, TCP port 443 unless given after `=`.

    Raises:
        ValueError: a block is no CIDR or a port no port.
    """
    return tuple(_block(word) for word in text.split())


def _block(word: str) -> AllowedEgress:
    cidr, _, ports = word.partition("=")
    numbers = tuple(int(port) for port in ports.split(",")) if ports else (_HTTPS,)
    if not all(0 < number < 1 << 16 for number in numbers):
        raise ValueError(f"{word}: a port lies between 1 and 65535")
    return AllowedEgress(ip_network(cidr, strict=False), numbers)


def _proxy_egress(*proxies: str) -> tuple[AllowedEgress, ...]:
    """A proxy that is named by its address is open to fetch Jobs; a name cannot be put into a NetworkPolicy."""
    found: dict[AllowedEgress, None] = {}
    for proxy in filter(None, proxies):
        split = urlsplit(proxy)
        with contextlib.suppress(ValueError):
            port = split.port or (_HTTPS if split.scheme == "https" else _HTTP)
            found[AllowedEgress(ip_network(ip_address(split.hostname or "")), (port,))] = None
    return tuple(found)


def _web_address(text: str) -> str:
    """An http:// or https:// URL of a host, or nothing."""
    split = urlsplit(text)
    if text and (split.scheme not in ("http", "https") or not split.hostname):
        raise argparse.ArgumentTypeError(f"{text} is not http://HOST or https://HOST")
    if split.username is not None or split.password is not None:
        raise argparse.ArgumentTypeError("a URL with credentials would be readable in every Job")
    return text


def _meter_address(text: str) -> str:
    """An https:// URL of a host, or nothing."""
    split = urlsplit(text)
    if text and (split.scheme != "https" or not split.hostname or split.username is not None):
        raise argparse.ArgumentTypeError(f"{text} is not https://HOST[:PORT]")
    return text


def _authorities(path: str) -> str | None:
    """Certificates in a PEM file, or nothing."""
    if not path:
        return None
    try:
        ssl.create_default_context(cafile=path)
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise argparse.ArgumentTypeError(f"{path} holds no PEM certificates: {error}") from error


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text == "true"


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shimmy-operator",
        description="Turns ShimmyTenants, ShimmyModels and ShimmyInstances into Kubernetes objects.",
        epilog="Every flag can be given as an environment variable: --router-namespace as SHIMMY_ROUTER_NAMESPACE.",
    )

    def add(flag: str, default: str | None, help_text: str, kind: type | object = str) -> None:
        variable = "SHIMMY_" + flag.removeprefix("--").replace("-", "_").upper()
        value = environment.get(variable, default)
        parser.add_argument(flag, default=value, type=kind, help=f"{help_text} (default: {default})")  # type: ignore[arg-type]

    add("--router-namespace", "shimmy-system", "namespace of the router and of the mirrored keys")
    add("--endpoint", None, "base URL of the OpenAI API, shown in the status of instances")
    add(
        "--engine-image-llama",
        f"{_REGISTRY}/shimmy-engine-llama:{_VERSION}",
        "image of engines of flavor llama and of Jobs",
    )
    add(
        "--engine-image-airframe",
        f"{_REGISTRY}/shimmy-engine-airframe:{_VERSION}",
        "image of engines of flavor airframe",
    )
    add("--router-image", f"{_REGISTRY}/shimmy-router:{_VERSION}", "image of tenants' own routers")
    add("--router-meter", "", "https:// base URL of every metrics server, for tenants' own routers", _meter_address)
    add("--engine-image-pull-policy", "IfNotPresent", "imagePullPolicy of those images")
    add("--fetch-egress", "", "what all tenants' fetch Jobs may reach: 'CIDR[=PORT,PORT] …'", parse_egress)
    add("--fetch-http-proxy", "", "proxy of fetch Jobs for http://", _web_address)
    add("--fetch-https-proxy", "", "proxy of fetch Jobs for https://", _web_address)
    add("--fetch-no-proxy", "", "hosts that fetch Jobs reach without a proxy, separated by commas")
    add("--fetch-ca-file", "", "PEM file of authorities that fetch Jobs trust beside the usual ones", _authorities)
    add("--fetch-offline", "false", "true: fetch Jobs say what is missing and reach nothing", _flag)
    add("--fetch-hub-endpoint", "", "mirror of Hugging Face for hf:// sources", _web_address)
    add("--fetch-s3-endpoint", "", "store of s3:// sources that name none; AWS if absent", _web_address)
    add("--fetch-s3-region", "", "region of s3:// sources that name none")
    add("--api-server-addresses", "", "more addresses that fetch Jobs never reach, separated by spaces", str.split)
    add("--meter-tls", "", "Secret of the metrics server's certificate, in the router's namespace; none if empty")
    add("--meter-tls-issue", "true", "false: somebody else keeps that certificate", _flag)
    add("--resync-seconds", "600", "time between two looks at every object", float)
    add("--kubeconfig", None, "cluster to manage; the one that the operator runs in if absent")
    add("--kube-context", None, "context of the kubeconfig; its current one if absent")
    add("--host", "0.0.0.0", "address of the two ports below")  # noqa: S104 - the pod's
    add("--metrics-port", "9090", "port of /metrics; 0 for none", int)
    add("--health-port", "8081", "port of /healthz and /readyz; 0 for none", int)
    add("--meter-url", "", "https:// base URL of the metrics server; without, autoscalers alone scale", _meter_address)
    add("--meter-folder", "/var/run/shimmy-meter", "folder with ca.crt and token for the metrics server")
    add("--log-level", "INFO", "DEBUG, INFO, WARNING or ERROR", str.upper)
    return parser
