"""What one Envoy has been told and has acknowledged, and what to tell it next. Pure.

The protocol is incremental xDS (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds).
The order is make before break: a cluster and its endpoints are acknowledged before any route names it, and a cluster
goes only after no route names it any more. Scopes only say which credential leads to which routes, and so never wait:
a revoked key stops at once.

Of a refused answer Envoy may have taken nothing, or some: of routes and scopes one bad resource costs all the others.
So its resources are sent again in halves, until those are found that Envoy does not take; they are sent by themselves
from then on, each when it differs. What is gone is told in an answer of its own, which nothing bad can be part of.

The work of a change is that of the names that it concerns, however many resources there are.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shimmy_router.xds.resources import (
    CLUSTER,
    ENDPOINTS,
    EXTENSION,
    ROUTES,
    SCOPE,
    TYPES,
    WILDCARD,
    Place,
    Resource,
    Snapshot,
)

_EVERYTHING: Final = "*"
_UNKNOWN: Final = ""
"""No version: that of a resource that Envoy may have in this or an older one."""


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a DeltaDiscoveryRequest that count."""

    type_url: str
    nonce: str = ""
    error: str = ""
    subscribe: Sequence[str] = ()
    unsubscribe: Sequence[str] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    """Names and versions that Envoy has from an earlier stream."""


@dataclass(frozen=True, slots=True)
class Response:
    """The parts of a DeltaDiscoveryResponse that count."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class _Type:
    """What Envoy has of one type."""

    asked: bool = False
    answered: bool = False
    """Whether anything was sent on this stream. An empty first answer says that there is nothing."""
    wanted: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    """Versions by name."""
    open: set[str] = field(default_factory=set)
    """Names of which Envoy may have to be told."""
    pending: str = ""
    """Nonce that Envoy has not answered yet."""
    told: frozenset[str] = frozenset()
    """Names of the resources that the pending answer brings."""
    doubted: list[frozenset[str]] = field(default_factory=list)
    """Names of resources that were refused together with others, in the groups in which they are sent again."""
    refused: set[str] = field(default_factory=set)
    """Names of resources that were refused by themselves."""


class DeltaStream:
    """One stream of one Envoy."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._types = {type_url: _Type() for type_url in TYPES}
        for type_url in WILDCARD:
            self._types[type_url].open.update(snapshot.resources[type_url])
        self._awaited = set(snapshot.resources[ENDPOINTS])
        """Clusters whose endpoints Envoy has not asked for: it does so a moment after it has the cluster."""
        self._nonces = itertools.count(1)

    def note(self, names: Mapping[str, Iterable[str]]) -> None:
        """These resources differ in the snapshot, by type."""
        for type_url, found in names.items():
            self._types[type_url].open.update(found)
        for name in names.get(ENDPOINTS, ()):
            if name in self._snapshot.resources[ENDPOINTS] and name not in self._types[ENDPOINTS].wanted:
                self._awaited.add(name)
            else:
                self._awaited.discard(name)

    def receive(self, request: Request) -> None:
        """Take one request: a subscription, an acknowledgement, a refusal, or several of them in one."""
        if request.type_url not in self._types:
            return
        state = self._types[request.type_url]
        state.asked = True
        if request.nonce and request.nonce == state.pending:
            state.pending = ""
            if request.error:
                self._refuse(request.type_url)
            else:
                state.refused -= state.told
        state.sent.update(request.known)
        state.open.update(request.known)
        for name in request.subscribe:
            if name == _EVERYTHING:
                continue
            state.wanted.add(name)
            # Envoy may ask again for what it has dropped; it must get it even where the version is the same.
            if name not in request.known:
                state.sent.pop(name, None)
                state.answered = False
            state.open.add(name)
        for name in request.unsubscribe:
            state.wanted.discard(name)
            state.sent.pop(name, None)
        if request.type_url == ENDPOINTS:
            self._awaited.difference_update(request.subscribe)

    @property
    def refused(self) -> frozenset[Place]:
        """What Envoy does not take, as it was sent last."""
        return frozenset((type_url, name) for type_url, state in self._types.items() for name in state.refused)

    def has(self, type_url: str, name: str) -> bool:
        """Whether Envoy has acknowledged a resource as it is in the snapshot now."""
        state, resource = self._types[type_url], self._snapshot.resources[type_url].get(name)
        if resource is None or name in state.refused or (state.pending and name in state.told):
            return False
        return state.sent.get(name) == resource.version

    @property
    def settled(self) -> bool:
        """Whether Envoy knows the whole snapshot and has answered everything."""
        return (
            all(self._types[type_url].answered for type_url in WILDCARD)
            and self.next_response() is None
            and not any(state.pending for state in self._types.values())
        )

    def next_response(self) -> Response | None:
        """What to send now, or None while Envoy has it all or must answer first. `sent` makes it count."""
        clusters_ready = not self._outstanding(CLUSTER) and not self._outstanding(ENDPOINTS)
        unreferenced = clusters_ready and not self._outstanding(SCOPE) and not self._outstanding(ROUTES)
        for type_url, allowed, removals in (
            (SCOPE, True, True),
            (EXTENSION, True, True),
            (CLUSTER, True, False),
            (ENDPOINTS, True, False),
            (ROUTES, clusters_ready, True),
            (CLUSTER, unreferenced, True),
            (ENDPOINTS, unreferenced, True),
        ):
            state = self._types[type_url]
            if not allowed or not state.asked or state.pending:
                continue
            changed = self._changed(type_url)
            removed = self._removed(type_url) if removals else ()
            first = type_url in WILDCARD and not state.answered
            if changed or removed or first:
                return Response(type_url, "", () if removed else changed, removed)
        return None

    def sent(self, response: Response) -> Response:
        """Note that this is being sent; the same with its nonce."""
        state = self._types[response.type_url]
        state.pending = str(next(self._nonces))
        state.answered = True
        state.told = frozenset(resource.name for resource in response.resources)
        state.sent.update({resource.name: resource.version for resource in response.resources})
        state.open -= state.told
        state.doubted = [left for group in state.doubted if (left := group - state.told)]
        state.refused.difference_update(response.removed)
        for name in response.removed:
            state.sent.pop(name, None)
            state.open.discard(name)
        if response.type_url == ENDPOINTS:
            state.wanted.difference_update(response.removed)  # if the cluster comes back, Envoy asks anew
        return Response(response.type_url, state.pending, response.resources, response.removed)

    def _refuse(self, type_url: str) -> None:
        """Look for what is bad in the answer that Envoy has refused."""
        state = self._types[type_url]
        if len(state.told) > 1:
            names = sorted(state.told)
            half = len(names) // 2
            state.doubted[:0] = [frozenset(names[:half]), frozenset(names[half:])]
            state.sent.update(dict.fromkeys(names, _UNKNOWN))
            state.open.update(names)
            return
        state.refused |= state.told
        if type_url == CLUSTER:
            self._awaited -= state.told  # Envoy asks for the endpoints of those only that it has

    def _changed(self, type_url: str) -> tuple[Resource, ...]:
        """What to tell next of what differs."""
        state = self._types[type_url]
        found = self._differing(type_url)
        for group in state.doubted:
            if again := tuple(resource for resource in found if resource.name in group):
                return again
        return tuple(resource for resource in found if resource.name not in state.refused) or found[:1]

    def _differing(self, type_url: str) -> tuple[Resource, ...]:
        state = self._types[type_url]
        existing = self._snapshot.resources[type_url]
        found, done = [], []
        for name in state.open:
            resource = existing.get(name)
            if resource is None:
                if name not in state.sent and name not in state.wanted:
                    done.append(name)
            elif (type_url not in WILDCARD and name not in state.wanted) or state.sent.get(name) == resource.version:
                done.append(name)
            else:
                found.append(resource)
        state.open.difference_update(done)
        return tuple(found)

    def _removed(self, type_url: str) -> tuple[str, ...]:
        state = self._types[type_url]
        existing = self._snapshot.resources[type_url]
        gone = (name for name in state.open if name not in existing)
        return tuple(sorted(name for name in gone if name in state.sent or name in state.wanted))

    def _outstanding(self, type_url: str) -> bool:
        """Whether Envoy must still be told of new content of this type, or must still answer."""
        state = self._types[type_url]
        if state.pending or self._changed(type_url):
            return True
        if type_url in {SCOPE, ROUTES}:
            return bool(self._removed(type_url))
        return type_url == ENDPOINTS and bool(self._awaited)
