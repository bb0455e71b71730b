"""When the pieces of one streamed answer arrive. The same blocking client for either side, as cheap as possible."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from devkit.bench.engine.asking import PATH
from shimmy_engine.sse import DONE, SseDecoder

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Timing:
    """One answer, in seconds from the sending of its request."""

    first_byte: float
    """The status line."""
    arrivals: Sequence[float]
    """Each piece of text."""

    @property
    def first_text(self) -> float:
        """Time to the first piece."""
        return self.arrivals[0]

    @property
    def per_token(self) -> float:
        """Mean time between two pieces."""
        return (self.arrivals[-1] - self.arrivals[0]) / (len(self.arrivals) - 1)

    @property
    def whole_per_token(self) -> float:
        """Time of the whole answer, by its tokens."""
        return self.arrivals[-1] / len(self.arrivals)

    @property
    def gaps(self) -> list[float]:
        """Time between each two pieces."""
        return [later - sooner for sooner, later in pairwise(self.arrivals)]


def stream(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Timing:
    """Ask for a streamed chat and read it to its end.

    Raises:
        RuntimeError: it is no such stream, or has less than two pieces.
    """
    split = urlsplit(url)
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=600)
    connection.connect()
    content = json.dumps(body).encode()
    try:
        begin = time.perf_counter()
        connection.request("POST", PATH, content, {"content-type": "application/json", **headers})
        response = connection.getresponse()
        first_byte = time.perf_counter() - begin
        chunks: list[tuple[float, bytes]] = []
        while chunk := response.read1(_CHUNK):
            chunks.append((time.perf_counter() - begin, chunk))
    finally:
        connection.close()
    arrivals = _arrivals(chunks)
    if response.status != http.client.OK or len(arrivals) < 2:
        raise RuntimeError(f"{url} answered with status {response.status} and {len(arrivals)} pieces of text")
    return Timing(first_byte, arrivals)


def _arrivals(chunks: Sequence[tuple[float, bytes]]) -> list[float]:
    """When each event with text came; parsed afterwards, so that this costs the measurement nothing."""
    decoder = SseDecoder()
    return [moment for moment, chunk in chunks for data in decoder.feed(chunk) if _has_text(data)]


def _has_text(data: str) -> bool:
    return data != DONE and any(choice["delta"].get("content") for choice in json.loads(data)["choices"])
