"""What rendering needs to know beside the objects themselves."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from shimmy_api.instance import Flavor

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class AllowedEgress:
    """A block of addresses that fetch Jobs may reach, and its TCP ports."""

    network: Network
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FetchNetwork:
    """How fetch Jobs reach the network. Nothing here is secret."""

    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str | None = None
    """Hosts that are reached without a proxy, separated by commas."""
    ca_bundle: str | None = None
    """Certificate authorities to trust beside the usual ones, PEM."""
    offline: bool = False
    """Whether Jobs say what is missing instead of fetching it."""
    hub_endpoint: str | None = None
    """Mirror of Hugging Face."""
    s3_endpoint: str | None = None
    """Store of s3:// sources that name none."""
    s3_region: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The operator's settings and what it knows of the cluster, as far as child objects depend on them."""

    router_namespace: str
    """Namespace of the router's pods and of the mirrored keys."""
    endpoint: str
    """Base URL of the OpenAI API inside the cluster."""
    llama_image: str
    airframe_image: str
    router_image: str
    """Of tenants' own routers."""
    router_meter: str = ""
    """Base URL at which those tell the metrics server what models have to do; empty where there is none."""
    image_pull_policy: str = "IfNotPresent"
    fetch_egress: tuple[AllowedEgress, ...] = ()
    """What every tenant's fetch Jobs may reach."""
    fetch_network: FetchNetwork = FetchNetwork()
    api_server_addresses: tuple[Address, ...] = ()
    """Where the API server answers; closed to fetch Jobs even inside an allowed block."""
    api_server_ports: tuple[int, ...] = (443,)
    """TCP ports there: of its Service, and of the server itself behind it."""

    def engine_image(self, flavor: Flavor) -> str:
        """The operator's own image of a flavor."""
        return self.llama_image if flavor == "llama" else self.airframe_image
