"""Who is next where several tenants wait for one engine, and who has to go where too many do. Pure.

Between priorities: the highest first, but one that waits is passed over seven times in a row at most. Between tenants
of one priority: start-time fair queueing (Goyal, Vin, Cheng, "Start-time Fair Queuing", SIGCOMM 1996) on the seconds
that each has had the engine. As one request is served at a time, its length is known before the next one is chosen.
Within a tenant: the order of arrival.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_PATIENCE: Final = 10.0
"""Seconds for which the next one lets requests pass that are for what is loaded already."""
_PASSES: Final = 7
"""How often in a row a priority is passed over: however busy the higher ones are, it gets every eighth turn."""


@dataclass(frozen=True, slots=True)
class Share:
    """On whose account a request runs."""

    tenant: str = ""
    priority: int = 0
    """Higher ones go first."""
    weight: int = 1
    """Seconds of the engine that the tenant gets for each one that a tenant of weight 1 gets."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A request that waits or runs."""

    share: Share
    tag: str
    """What it is for."""
    since: float
    """When it came, in seconds of any clock."""
    movable: bool = False
    """Whether the router takes it back and sends it to another pod."""


@dataclass(slots=True)
class _Tenant:
    start: float
    """Virtual time at which its next request may start: seconds that it has had, divided by its weight."""
    waiting: deque[Ticket] = field(default_factory=deque)


@dataclass(slots=True)
class _Class:
    """The tenants that have requests of one priority."""

    virtual: float = 0.0
    """Start of the request that was chosen last."""
    passed: int = 0
    """Turns in a row that went to other priorities while something waited here."""
    tenants: dict[str, _Tenant] = field(default_factory=dict)

    def in_order(self) -> list[_Tenant]:
        """The tenants that wait, the next one first."""
        waiting = [tenant for tenant in self.tenants.values() if tenant.waiting]
        return sorted(waiting, key=lambda tenant: (tenant.start, tenant.waiting[0].since))

    def tenant(self, name: str) -> _Tenant:
        """The tenant; one that comes (back) starts level with who is served now, without a claim from idle times."""
        return self.tenants.setdefault(name, _Tenant(self.virtual))


class FairQueue:
    """A bounded number of tickets that wait, and the one that is served."""

    def __init__(self, bound: int) -> None:
        self.preferred = ""
        """Tag of the requests that may pass others of their priority for a while."""
        self._bound = bound
        self._classes: dict[int, _Class] = {}
        self.served: Ticket | None = None
        """None also while the runner itself has the turn."""

    def __iter__(self) -> Iterator[Ticket]:
        """All that wait."""
        for group in self._classes.values():
            for tenant in group.tenants.values():
                yield from tenant.waiting

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, ticket: Ticket) -> Ticket | None:
        """Let it wait. Returns who has to go for that: nobody, another one, or the ticket itself."""
        goes = self._surplus(ticket) if len(self) >= self._bound else None
        if goes is ticket:
            return ticket
        if goes:
            self.remove(goes)
        self._class(ticket).tenant(ticket.share.tenant).waiting.append(ticket)
        return goes

    def remove(self, ticket: Ticket) -> None:
        """It waits no more."""
        self._class(ticket).tenant(ticket.share.tenant).waiting.remove(ticket)
        self._forget()

    def serve(self, ticket: Ticket) -> None:
        """It is served at once, as nothing is and nothing waits."""
        self._begin(ticket)

    def next(self, now: float) -> Ticket | None:
        """Choose who is served now, and take it out."""
        waiting = {p: group for p, group in self._classes.items() if group.in_order()}
        if not waiting:
            return None
        starved = [p for p, group in waiting.items() if group.passed >= _PASSES]
        priority = max(starved, key=lambda p: (waiting[p].passed, p)) if starved else max(waiting)
        for other, group in waiting.items():
            group.passed = 0 if other == priority else group.passed + 1
        ticket = self._choose(waiting[priority], now)
        self._class(ticket).tenant(ticket.share.tenant).waiting.remove(ticket)
        self._begin(ticket)
        return ticket

    def movable(self, tag: str) -> Ticket | None:
        """Of those that wait for `tag` and can go to another pod, the one whose turn comes first."""
        for _, group in sorted(self._classes.items(), reverse=True):
            for tenant in group.in_order():
                for ticket in tenant.waiting:
                    if ticket.movable and ticket.tag == tag:
                        return ticket
        return None

    def end(self, seconds: float) -> None:
        """What was served has had the engine for so long."""
        if self.served:
            share = self.served.share
            self._class(self.served).tenant(share.tenant).start += seconds / share.weight
            self.served = None
        self._forget()

    def _choose(self, group: _Class, now: float) -> Ticket:
        tenants = group.in_order()
        first = tenants[0].waiting[0]
        if not first.tag or now - first.since > _PATIENCE:
            return first
        fitting = (ticket for tenant in tenants for ticket in tenant.waiting if ticket.tag == self.preferred)
        return next(fitting, first)

    def _begin(self, ticket: Ticket) -> None:
        group = self._class(ticket)
        group.virtual = max(group.virtual, group.tenant(ticket.share.tenant).start)
        self.served = ticket

    def _surplus(self, ticket: Ticket) -> Ticket:
        """The newest of the tenant that holds the most for its weight, where that is more than this one would hold."""
        held = Counter(waiting.share.tenant for waiting in self)
        weights = {waiting.share.tenant: waiting.share.weight for waiting in self}
        mine = (held[ticket.share.tenant] + 1) / ticket.share.weight
        most = max(held, key=lambda tenant: held[tenant] / weights[tenant], default=ticket.share.tenant)
        if most == ticket.share.tenant or held[most] / weights[most] <= mine:
            return ticket
        # Of its own requests a tenant loses the least important ones first.
        theirs = (waiting for waiting in self if waiting.share.tenant == most)
        return max(theirs, key=lambda waiting: (-waiting.share.priority, waiting.since))

    def _class(self, ticket: Ticket) -> _Class:
        return self._classes.setdefault(ticket.share.priority, _Class())

    def _forget(self) -> None:
        """Drop what makes no difference any more: no more is kept than tenants that wait or were served just now."""
        served = self.served.share if self.served else None
        for priority, group in list(self._classes.items()):
            here = served.tenant if served and served.priority == priority else None
            if here is None and not group.in_order():
                del self._classes[priority]
                continue
            for name, tenant in list(group.tenants.items()):
                if not tenant.waiting and name != here and tenant.start <= group.virtual:
                    del group.tenants[name]
