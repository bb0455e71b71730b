"""Which addresses an allowed block leaves open."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from shimmy_operator.render.context import Address, Network
from shimmy_operator.render.metadata import Manifest

ALWAYS_CLOSED: tuple[Network, ...] = (
    ip_network("169.254.0.0/16"),  # link-local, RFC 3927; cloud metadata services
    ip_network("fe80::/10"),  # link-local, RFC 4291
    ip_network("fd00:ec2::254/128"),  # Amazon EC2's metadata service over IPv6
    ip_network("::ffff:0:0/96"),  # IPv4-mapped, RFC 4291: would name any IPv4 address
)


def render_ip_block(allowed: Network, api_server: Iterable[Address]) -> Manifest | None:
    """An ipBlock of `allowed` without link-local addresses and the API server's; None if nothing stays open.

    The API demands that every exception lies strictly inside the block.
    Source: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/#NetworkPolicySpec
    """
    closed = [*ALWAYS_CLOSED, *(ip_network(address) for address in api_server)]
    if any(_inside(allowed, network) for network in closed):
        return None
    inside = [network for network in closed if _inside(network, allowed)]
    exceptions = [str(network) for network in _collapsed(inside)]
    return {"cidr": str(allowed)} | ({"except": exceptions} if exceptions else {})


def _inside(network: Network, outer: Network) -> bool:
    if isinstance(network, IPv4Network) and isinstance(outer, IPv4Network):
        return network.subnet_of(outer)
    if isinstance(network, IPv6Network) and isinstance(outer, IPv6Network):
        return network.subnet_of(outer)
    return False


def _collapsed(networks: list[Network]) -> list[Network]:
    four = [network for network in networks if isinstance(network, IPv4Network)]
    six = [network for network in networks if isinstance(network, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]
