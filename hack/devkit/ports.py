"""Ports for the processes of a development cluster."""

import random
import socket
from typing import Final

_FIRST: Final = 20000
_LAST: Final = 32000
"""Below the kernel's range for outgoing connections (32768 on), which may take any of its ports at any moment."""
_TRIES: Final = 200


def free(count: int, host: str = "127.0.0.1") -> list[int]:
    """Distinct TCP ports that nothing listens on at `host` now.

    Raises:
        OSError: none could be found.
    """
    chosen: list[int] = []
    for port in random.SystemRandom().sample(range(_FIRST, _LAST), _TRIES):
        if len(chosen) == count:
            break
        if _is_free(host, port):
            chosen.append(port)
    if len(chosen) < count:
        raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
    return chosen


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
