"""The node's network namespace and the one link that ties it to this machine.

The namespace is a host of its own, as far as Kubernetes can tell. This machine is its gateway, runs the API server at
the link's end, and has routes to pods and Services through it: so a person or a test here reaches any ClusterIP.
"""

import contextlib
import ipaddress
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUBNETS: Final = 64
NAMESPACES: Final = Path("/run/netns")
"""Where iproute2 keeps the namespaces that have names."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Addresses of one cluster's network, all from its number, so that several clusters live side by side."""

    number: int
    """0 to 63."""

    @property
    def link(self) -> ipaddress.IPv4Network:
        """Between this machine and the node."""
        return ipaddress.IPv4Network(f"10.201.{self.number}.0/30")

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """Addresses of pods."""
        return ipaddress.IPv4Network(f"10.244.{self.number}.0/24")

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Addresses of Services: 1,022 of them."""
        return ipaddress.IPv4Network((int(ipaddress.IPv4Address("10.96.0.0")) + self.number * 1024, 22))

    @property
    def machine(self) -> str:
        """Our end of the link; the API server listens here."""
        return str(self.link[1])

    @property
    def node(self) -> str:
        """The node's address."""
        return str(self.link[2])

    @property
    def dns(self) -> str:
        """Address of the cluster's DNS Service."""
        return str(self.services[10])

    @property
    def interface(self) -> str:
        """Name of the link on this machine; at most 15 characters."""
        return f"shimmy-dev{self.number}"


def choose(taken: Iterable[int], routes: Iterable[ipaddress.IPv4Network]) -> Plan:
    """The first plan that no other cluster has and whose addresses this machine has no route to.

    Raises:
        OSError: there is none.
    """
    used, known = set(taken), list(routes)
    for plan in map(Plan, range(SUBNETS)):
        ranges = (plan.link, plan.pods, plan.services)
        if plan.number not in used and not any(own.overlaps(other) for own in ranges for other in known):
            return plan
    raise OSError("no free address range for a node: 10.201.0.0/16, 10.244.0.0/16 or 10.96.0.0/16 are in use here")


def routes() -> list[ipaddress.IPv4Network]:
    """Networks that this machine has a route to, the default route apart."""
    listed = json.loads(_run("ip", "-json", "-4", "route", "show", "table", "all"))
    return [ipaddress.IPv4Network(r["dst"]) for r in listed if r["dst"] != "default"]


def create(plan: Plan, namespace: str) -> None:
    """Make the namespace and the link, and route pods and Services through it."""
    _run("ip", "netns", "add", namespace)
    _run("ip", "link", "add", plan.interface, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _run("ip", "address", "add", f"{plan.machine}/30", "dev", plan.interface)
    _run("ip", "link", "set", plan.interface, "up")
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "address", "add", f"{plan.node}/30", "dev", "eth0"),
        ("ip", "link", "set", "eth0", "up"),
        ("ip", "route", "add", "default", "via", plan.machine),
        ("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"),
    ):
        _run(*inside(namespace), *command)
    for reached in (plan.pods, plan.services):
        _run("ip", "route", "add", str(reached), "via", plan.node, "dev", plan.interface)


def remove(plan: Plan, namespace: str) -> None:
    """Take link, namespace and routes away, as far as they are there.

    The link goes first: the kernel takes a deleted namespace's links away some time after `ip netns delete` returned,
    so a link that is listed then may be gone a moment later (cleanup_net in Linux' net/core/net_namespace.c).
    """
    links = {entry["ifname"] for entry in json.loads(_run("ip", "-json", "link", "show"))}
    if plan.interface in links:
        _run("ip", "link", "delete", plan.interface)
    namespaces = {entry["name"] for entry in json.loads(_run("ip", "-json", "netns", "list") or "[]")}
    if namespace in namespaces:
        _run("ip", "netns", "delete", namespace)
    if not namespaces - {namespace}:
        _remove_mount()


def _remove_mount() -> None:
    """Undo what the first `ip netns add` did: it mounts its folder on itself. Others' use of it makes this fail."""
    subprocess.run(["umount", str(NAMESPACES)], capture_output=True, check=False)
    with contextlib.suppress(OSError):
        NAMESPACES.rmdir()


def inside(namespace: str) -> list[str]:
    """Prefix of a command that runs in the namespace.

    `ip netns exec` would also remount /sys, which hides the cgroup mounts that kubelet needs.
    """
    return ["nsenter", f"--net={NAMESPACES / namespace}"]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
