"""Looks into pods and runs programs in them."""

import json
from typing import Any

from devkit.demo.fleet import NAMESPACE, Fleet
from devkit.kubectl import KubectlError
from shimmy_api import names

ENGINE = f"{names.LABEL_COMPONENT}={names.ENGINE}"

KILL_SHIMMY = """
import os, pathlib, signal
for entry in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        name = (entry / "comm").read_text().strip()
    except OSError:
        continue
    if name == "shimmy":
        os.kill(int(entry.name), signal.SIGKILL)
        print("killed")
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("open")
except OSError as error:
    print("closed")
"""
JOURNAL = """
import sys
for line in open("/var/lib/shimmy/journal.jsonl"):
    if sys.argv[1] in line:
        print(line)
"""


def engines(fleet: Fleet) -> list[dict[str, Any]]:
    """The engine pods that are not being deleted."""
    pods = fleet.kubectl.list("pods", NAMESPACE, ENGINE)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def python(fleet: Fleet, namespace: str, pod: str, program: str, *arguments: str) -> str:
    """What a Python program prints in a pod."""
    return fleet.kubectl.run("exec", "-n", namespace, pod, "--", "python3", "-c", program, *arguments).strip()


def used(fleet: Fleet, request: str) -> dict[str, Any]:
    """The record of a request in the journal of the only engine. Its file is read: a pull would make drains wait."""
    (pod,) = engines(fleet)
    return dict(json.loads(python(fleet, NAMESPACE, pod["metadata"]["name"], JOURNAL, request)))


def refuses_to_write(fleet: Fleet, namespace: str, pod: str) -> bool:
    """Whether the container's root file system is read-only."""
    try:
        python(fleet, namespace, pod, "open('/written', 'w')")
    except KubectlError as error:
        return "Read-only file system" in str(error)
    return False
