"""How a container that fetches models reaches their sources: credentials, proxies, authorities, mirrors."""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from shimmy_api import names
from shimmy_api.sources import HttpSource, HubSource, OciSource, RemoteSource, S3Source
from shimmy_operator.render.context import Context, FetchNetwork
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata

CA_ENTRY: Final = "ca.crt"
_CREDENTIALS: Final = "/var/run/shimmy/credentials"
_AUTHORITIES: Final = "/etc/shimmy/authorities"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class FetchAccess:
    """Parts of a container and of its pod, beside the command's own arguments."""

    arguments: list[str] = field(default_factory=list)
    environment: list[dict[str, str]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)


def fetch_access(network: FetchNetwork, credentials_secret_name: str | None) -> FetchAccess:
    """What `shimmy-engine fetch`, or another command with the same options, is given. No secret is in it."""
    access = FetchAccess(environment=[{"name": name, "value": value} for name, value in _environment(network).items()])
    if credentials_secret_name is not None:
        access.arguments.extend(["--credentials", _CREDENTIALS])
        access.mounts.append({"name": "credentials", "mountPath": _CREDENTIALS, "readOnly": True})
        # Without the Secret the container itself says what is missing; a pod that cannot start would not.
        secret = {"secretName": credentials_secret_name, "defaultMode": 0o440, "optional": True}
        access.volumes.append({"name": "credentials", "secret": secret})
    if network.ca_bundle is not None:
        access.arguments.extend(["--ca-file", f"{_AUTHORITIES}/{CA_ENTRY}"])
        access.mounts.append({"name": "authorities", "mountPath": _AUTHORITIES, "readOnly": True})
        access.volumes.append({"name": "authorities", "configMap": {"name": names.FETCH_AUTHORITIES}})
    if network.offline:
        access.arguments.append("--offline")
    return access


def render_authorities(tenant: str, namespace: str, owner: Owner, network: FetchNetwork) -> Manifest | None:
    """The ConfigMap with certificate authorities that a tenant's fetch Jobs trust; None where there are none."""
    if network.ca_bundle is None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(names.FETCH_AUTHORITIES, namespace, labels(tenant), owner),
        "data": {CA_ENTRY: network.ca_bundle},
    }


def closed_port(source: RemoteSource, context: Context, open_ports: set[int]) -> int | None:
    """The TCP port that fetching from `source` needs, if it is not among `open_ports`."""
    port = _port(source, context.fetch_network)
    return None if port in open_ports else port


def _environment(network: FetchNetwork) -> dict[str, str]:
    found = {
        "HTTP_PROXY": network.http_proxy,
        "HTTPS_PROXY": network.https_proxy,
        "NO_PROXY": network.no_proxy,
        "HF_ENDPOINT": network.hub_endpoint,
        "AWS_ENDPOINT_URL_S3": network.s3_endpoint,
        "AWS_REGION": network.s3_region,
    }
    return {name: value for name, value in found.items() if value}


def _port(source: RemoteSource, network: FetchNetwork) -> int:
    split = urlsplit(_address(source, network))
    proxy = network.https_proxy if split.scheme == "https" else network.http_proxy
    if proxy and not _is_excepted(split.hostname or "", network.no_proxy or ""):
        split = urlsplit(proxy)
    return split.port or _PORTS[split.scheme]


def _is_excepted(host: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names a host or a domain that it is in."""
    names_or_domains = (entry.strip().lstrip(".") for entry in no_proxy.split(","))
    return any(entry and (host == entry or host.endswith(f".{entry}")) for entry in names_or_domains)


def _address(source: RemoteSource, network: FetchNetwork) -> str:
    """Base URL of the server that has the source."""
    match source:
        case HttpSource():
            return source.url
        case S3Source():
            return source.endpoint or network.s3_endpoint or "https://s3.amazonaws.com"
        case OciSource():
            return f"https://{source.registry}"
        case HubSource():
            return network.hub_endpoint or "https://huggingface.co"
