from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shimmy_operator.render.egress import ALWAYS_CLOSED, render_ip_block

SERVER = (ip_address("10.96.0.1"), ip_address("fd00::1"))


@pytest.mark.parametrize(
    ("allowed", "block"),
    [
        ("192.0.2.0/24", {"cidr": "192.0.2.0/24"}),
        ("10.0.0.0/8", {"cidr": "10.0.0.0/8", "except": ["10.96.0.1/32"]}),
        ("0.0.0.0/0", {"cidr": "0.0.0.0/0", "except": ["10.96.0.1/32", "169.254.0.0/16"]}),
        ("fd00::/64", {"cidr": "fd00::/64", "except": ["fd00::1/128"]}),
        ("10.96.0.1/32", None),
        ("169.254.169.254/32", None),
        ("169.254.0.0/16", None),
        ("fe80::1/128", None),
        ("::ffff:169.254.169.254/128", None),
    ],
)
def test_closed_addresses_stay_closed_inside_an_allowed_block(allowed: str, block: Any) -> None:
    assert render_ip_block(ip_network(allowed), SERVER) == block


@given(st.ip_addresses(), st.integers(0, 128), st.lists(st.ip_addresses(), max_size=3))
def test_every_exception_lies_strictly_inside_its_block_and_covers_what_is_closed(
    address: Any, length: int, servers: list[Any]
) -> None:
    allowed = ip_network((address, min(length, address.max_prefixlen)), strict=False)
    block = render_ip_block(allowed, servers)
    closed = [*ALWAYS_CLOSED, *(ip_network(server) for server in servers)]
    same = [network for network in closed if type(network) is type(allowed)]
    if block is None:
        assert any(allowed.subnet_of(network) for network in same)  # type: ignore[arg-type]
        return
    exceptions: list[IPv4Network | IPv6Network] = [ip_network(network) for network in block.get("except", [])]
    for exception in exceptions:
        assert exception != allowed
        assert exception.subnet_of(allowed)  # type: ignore[arg-type]
    for network in same:
        if network.subnet_of(allowed):  # type: ignore[arg-type]
            assert any(network.subnet_of(exception) for exception in exceptions)  # type: ignore[arg-type]
