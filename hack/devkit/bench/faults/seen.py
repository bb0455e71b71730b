"""What clients saw, and what of it a fault explains. Pure; moments in seconds on the monotonic clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Client(Enum):
    """How a request is sent."""

    WHOLE = auto()
    STREAM = auto()
    RETRYING = auto()
    """By an official client library, which tries twice more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request."""

    client: Client
    began: float
    ended: float
    routers: tuple[int, ...] = ()
    """Ports of the routers to which its tries went: one but for those of libraries."""
    pod: str = ""
    """Name of the pod whose answer began; empty where none did."""
    failure: str = ""

    @property
    def broken(self) -> bool:
        """Whether it is a stream that ended before its end."""
        return bool(self.client is Client.STREAM and self.pod and self.failure)


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, and to which part; no part where nothing that carries requests died."""

    began: float
    over: float
    """When everything was as before."""
    router: int = 0
    left: float = 0.0
    """When new connections went to that router no more."""
    pod: str = ""

    def took_pod(self, seen: Seen) -> bool:
        """Whether the pod died under that request."""
        return bool(self.pod) and seen.pod == self.pod and seen.began <= self.began <= seen.ended

    def took_router(self, seen: Seen) -> bool:
        """Whether that request's connection was to the router that died."""
        return seen.routers == (self.router,) and seen.began <= self.began <= seen.ended

    def refused(self, seen: Seen) -> bool:
        """Whether that request's connection went to the router after it had died."""
        return seen.routers == (self.router,) and self.began < seen.began <= self.left

    def kept(self, seen: Seen) -> bool:
        """Whether each of that request's tries went to the router that died."""
        return set(seen.routers) == {self.router} and seen.began <= self.left and self.began <= seen.ended


@dataclass(frozen=True, slots=True)
class Count:
    """The requests of one kind of fault."""

    requests: int
    """All but those of libraries."""
    streams: int
    """Of them."""
    failed: int
    """Without an answer, though a pod and the router of their connection remained."""
    broken: int
    """Streams that ended early."""
    spared: int
    """Of them, those whose pod and router lived on."""
    in_flight: int
    """Requests and streams that ended with the router to which their connection was."""
    refused: int
    """Requests on new connections that still went to a dead router."""
    retrying: int
    retrying_failed: int
    """Of those of libraries, those without an answer though one of their tries went to a router that remained."""
    unlucky: int
    """The others without an answer."""


def count(seen: Sequence[Seen], faults: Sequence[Fault]) -> Count:
    """Tell apart what the faults explain from what they do not."""
    plain = [one for one in seen if one.client is not Client.RETRYING]
    retrying = [one for one in seen if one.client is Client.RETRYING]
    bad = [one for one in plain if one.failure]
    given_up = [one for one in retrying if one.failure]
    unlucky = [one for one in given_up if any(fault.kept(one) for fault in faults)]
    in_flight = [one for one in bad if any(fault.took_router(one) for fault in faults)]
    refused = [one for one in bad if any(fault.refused(one) for fault in faults)]
    others = [one for one in bad if one not in in_flight and one not in refused]
    return Count(
        requests=len(plain),
        streams=sum(one.client is Client.STREAM for one in plain),
        failed=sum(not one.broken for one in others),
        broken=sum(one.broken for one in bad),
        spared=sum(one.broken and not any(fault.took_pod(one) for fault in faults) for one in others),
        in_flight=len(in_flight),
        refused=len(refused),
        retrying=len(retrying),
        retrying_failed=len(given_up) - len(unlucky),
        unlucky=len(unlucky),
    )
