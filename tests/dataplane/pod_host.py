"""A host of the test's own, in a network namespace: EndpointSlices must not name loopback addresses."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.contract.running import FAKE, TOKEN
from tests.fakes.shimmy import toy_gguf

from devkit import packages
from devkit.waiting import until

PORT = 8080
_PARTS = (packages.program("ip", "iproute2"), packages.program("nsenter", "util-linux"))


@contextmanager
def pod_host(folder: Path) -> Iterator[str]:
    """A runner with a fake Shimmy on a host of its own; that host's address."""
    packages.require("a host of the test's own", _PARTS)
    name = f"shimmy-t{os.getpid()}"
    subnet = f"10.202.{os.getpid() % 250}"
    link, address = f"{name[:13]}-a", f"{subnet}.2"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{subnet}.1/30", "dev", link)
        _ip("link", "set", link, "up")
        for arguments in (("addr", "add", f"{address}/30", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-n", name, *arguments)
        _ip("-n", name, "link", "set", "lo", "up")
        with _runner(folder, name):
            until(lambda: _ready(address), "the runner", seconds=30)
            yield address
    finally:
        _ip("netns", "delete", name)


@contextmanager
def _runner(folder: Path, namespace: str) -> Iterator[None]:
    folder.mkdir()
    token, toy = folder / "token", toy_gguf.write(folder / "toy.gguf")
    token.write_text(TOKEN)
    command = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-m", "shimmy_engine", "serve"]
    command += ["--model-name", "m", "--model-file", str(toy), "--shimmy-binary", str(FAKE)]
    command += ["--token-file", str(token), "--state", str(folder / "state"), "--port", str(PORT), "--queue", "64"]
    command += ["--accept-seconds", "0.1", "--grace-seconds", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"SHIMMY_FAKE_LINE": "llama"})
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}:{PORT}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
