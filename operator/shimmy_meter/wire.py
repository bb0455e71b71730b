"""The documents of shimmy_api/load.py as this server reads and writes them: it has 40,000 words a second to read.

What they mean is said there, and a test holds these to it. Names are read as they are on the wire alone, camelCase.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shimmy_api import names
from shimmy_api.load import MAX_COUNT

Name = Annotated[str, Meta(min_length=1, max_length=names.MAX_NAME)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Sum = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]

# gc=False: none of these refers back to itself, and the collector has less to look through.


class PodLoad(Struct, frozen=True, rename="camel", gc=False):
    """What one engine pod has to do."""

    in_flight: Count = 0
    queued: Count = 0


class DeploymentLoad(Struct, frozen=True, rename="camel", gc=False):
    """What the pods of one Deployment have to do, as one router sees it."""

    namespace: Name
    deployment: Name
    instance: Name
    model: str = ""
    pods: dict[Name, PodLoad] = {}
    held: Count = 0
    holding: bool = False
    tokens_per_second: Amount = 0.0
    first_byte_seconds: Amount | None = None


class LoadReport(Struct, frozen=True, rename="camel", gc=False):
    """All that one router has to say now."""

    router: Name
    loads: tuple[DeploymentLoad, ...]


class DeploymentTotal(Struct, frozen=True, rename="camel", gc=False):
    """What the pods of one Deployment have to do, over all routers."""

    namespace: Name
    deployment: Name
    peak: Sum
    held: Sum = 0
    pods: dict[Name, PodLoad] = {}
    holding: tuple[str, ...] = ()


class LoadTotals(Struct, frozen=True, rename="camel", gc=False):
    """All that this server knows now."""

    routers: tuple[str, ...]
    totals: tuple[DeploymentTotal, ...]


class ReportError(ValueError):
    """What came is no report."""


_reports = msgspec.json.Decoder(LoadReport)
_totals = msgspec.json.Encoder()


def read(body: bytes) -> LoadReport:
    """A report.

    Raises:
        ReportError: it is none; the message says what is wrong first, and where.
    """
    try:
        return _reports.decode(body)
    except (ValueError, RecursionError) as error:
        raise ReportError(str(error)) from error


def write(totals: LoadTotals) -> bytes:
    """The answer to GET."""
    return _totals.encode(totals)
