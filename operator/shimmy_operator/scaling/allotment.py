"""How many pods each Deployment may have at most, where several share a bound.

Two bounds are shared: an instance's maxReplicas by its models, and a tenant's GPUs by its instances. Everybody gets
the least first; then what load asks for, instances of a higher priority first; then what is left, evenly, so that a
burst need not wait for a new share.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What one Deployment has and wants."""

    name: str
    """Of the Deployment, unique among the claims."""
    instance: str
    least: int
    now: int
    """Pods that it is told to run."""
    wants: int
    """Pods that its load asks for."""
    share: int | None = None
    """Its share until now."""
    priority: int = 0
    gpus: int = 0
    """Of each pod, where the tenant's are bounded."""
    refused: int = 0
    """Pods of `now` that Kubernetes refuses to make."""

    @property
    def counts(self) -> bool:
        """Whether it takes part: who sleeps and may sleep takes nothing."""
        return self.now > 0 or self.least > 0

    @property
    def floor(self) -> int:
        """What it gets in any case: an autoscaler leaves one pod at least."""
        return max(self.least, 1)

    @property
    def asks(self) -> int:
        """Pods that somebody asks for: its load, or who set the least."""
        return max(self.least, self.wants)

    @property
    def needs(self) -> int:
        """What it gets before anything is left."""
        return max(self.floor, self.wants)


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is to share."""

    pods: Mapping[str, int]
    """By the name of the instance."""
    gpus: int | None = None
    """None where the tenant's are not bounded."""


def allot(claims: Sequence[Claim], limits: Limits) -> dict[str, int]:
    """The share of each Deployment. Shares that do for everybody stay as they are."""
    awake = sorted((one for one in claims if one.counts), key=lambda one: (-one.priority, one.name))
    shares = _kept(awake, limits) or _held_back(awake, _dealt(awake, limits), limits)
    ledger = _Ledger(limits)
    for one in awake:
        ledger.give(one, shares[one.name])
    # Who sleeps may have what is left once it wakes; shares are dealt anew then.
    return shares | {one.name: max(1, ledger.room(one)) for one in claims if not one.counts}


def attainable(claims: Sequence[Claim], limits: Limits, shares: Mapping[str, int]) -> dict[str, int]:
    """The shares without the pods that are refused while all ask for more GPUs than there are.

    A share is one pod at least, for a router wakes a model whether or not there is a GPU for it.
    """
    if limits.gpus is None or sum(one.now * one.gpus for one in claims) <= limits.gpus:
        return dict(shares)
    there = {one.name: one.now - one.refused for one in claims if one.gpus and one.refused}
    return {name: min(share, there.get(name, share)) for name, share in shares.items()}


def to_try(claims: Sequence[Claim], gpus: int) -> frozenset[str]:
    """Whose refused pods so many free GPUs are for: those that are asked for, of the highest priority first."""
    found = set()
    refused = (one for one in claims if one.gpus and one.refused and one.asks)
    for one in sorted(refused, key=lambda one: (-one.priority, one.name)):
        if one.gpus > gpus:
            break
        found.add(one.name)
        gpus -= one.refused * one.gpus
    return frozenset(found)


def giving_way(claims: Sequence[Claim], shares: Mapping[str, int]) -> frozenset[str]:
    """Who has a pod and nothing to do, while somebody of a higher priority lacks the GPUs for a pod.

    `shares` are those that are attainable.
    """
    lacking = [one.priority for one in claims if one.gpus and one.asks > shares[one.name]]
    if not lacking:
        return frozenset()
    useless = (one for one in claims if one.gpus and one.now > 0 and one.least == one.wants == 0)
    return frozenset(one.name for one in useless if one.priority < max(lacking))


def _kept(awake: Sequence[Claim], limits: Limits) -> dict[str, int] | None:
    """The shares until now, if everybody has enough and nothing is left."""
    ledger = _Ledger(limits)
    for one in awake:
        if one.share is None or one.share < one.needs:
            return None
        ledger.give(one, one.share)
    return None if ledger.overdrawn or any(ledger.room(one) > 0 for one in awake) else ledger.shares


def _dealt(awake: Sequence[Claim], limits: Limits) -> dict[str, int]:
    ledger = _Ledger(limits)
    for one in awake:
        ledger.give(one, one.floor)
    for priority in sorted({one.priority for one in awake}, reverse=True):
        wanting = [one for one in awake if one.priority == priority]
        while takers := [one for one in wanting if ledger.shares[one.name] < one.wants and ledger.room(one) > 0]:
            ledger.give(max(takers, key=lambda one: one.wants - ledger.shares[one.name]), 1)
    while takers := [one for one in awake if ledger.room(one) > 0]:
        ledger.give(min(takers, key=lambda one: ledger.shares[one.name] - one.needs), 1)
    return ledger.shares


def _held_back(claims: Sequence[Claim], shares: Mapping[str, int], limits: Limits) -> dict[str, int]:
    """The shares without what others have to give back first: pods beyond a new share are still there for a while."""
    held = dict(shares)
    ledger = _Ledger(limits)
    for one in claims:
        ledger.give(one, max(one.now, held[one.name]))
    for one in reversed(claims):
        while held[one.name] > max(one.now, one.floor) and ledger.exceeds(one):
            held[one.name] -= 1
            ledger.give(one, -1)
    return held


class _Ledger:
    """What has been given."""

    def __init__(self, limits: Limits) -> None:
        self.shares: dict[str, int] = {}
        self._limits = limits
        self._pods: Counter[str] = Counter()
        self._gpus = 0

    @property
    def overdrawn(self) -> bool:
        """Whether more was given than there is."""
        over = any(given > self._limits.pods[instance] for instance, given in self._pods.items())
        return over or (self._limits.gpus is not None and self._gpus > self._limits.gpus)

    def give(self, claim: Claim, pods: int) -> None:
        """Give, whether or not there is room."""
        self.shares[claim.name] = self.shares.get(claim.name, 0) + pods
        self._pods[claim.instance] += pods
        self._gpus += pods * claim.gpus

    def room(self, claim: Claim) -> int:
        """How many pods more there are for it."""
        pods = self._limits.pods[claim.instance] - self._pods[claim.instance]
        if self._limits.gpus is None or not claim.gpus:
            return pods
        return min(pods, (self._limits.gpus - self._gpus) // claim.gpus)

    def exceeds(self, claim: Claim) -> bool:
        """Whether more was given than there is of what it takes."""
        over = self._pods[claim.instance] > self._limits.pods[claim.instance]
        return over or (self._limits.gpus is not None and claim.gpus > 0 and self._gpus > self._limits.gpus)
