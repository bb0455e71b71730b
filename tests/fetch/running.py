"""A server program that runs as long as a block does."""

import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devkit.waiting import until


@contextmanager
def running(command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run `command` until the block ends; it listens on loopback's `port` when the block begins."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)

    def listens() -> bool:
        assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-4000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, f"{command[0]} listens", seconds=20, every=0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)
