"""The connections between routers, over which they ask and tell one another what limits need.

Each router holds one WebSocket to every other one. What is sent on it is limits/wire.py.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from shimmy_router.limits.ledger import Answer, Ask, Ledger
from shimmy_router.limits.members import home
from shimmy_router.limits.tokens import TokenUse
from shimmy_router.limits.wire import ToAsker, ToRouter

log = logging.getLogger(__name__)

PATH: Final = "/peer/1"
"""The number is another one where messages are: in a rollout that changes it, old and new routers count apart."""
NAME_HEADER: Final = "x-shimmy-router"

ASK_SECONDS: Final = 0.2
"""A router that does not answer within this is done without. Envoy waits longer for this one."""
_HEARTBEAT_SECONDS: Final = 4.0
"""A connection that is silent for half as long after a ping is dead."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0
_GRACE_SECONDS: Final = 3.0
"""A router that does not come back within this runs nothing that could be known of."""
_LONGEST_MESSAGE: Final = 16 * 1024 * 1024
_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


def shared_secret(engine_tokens: Iterable[str]) -> str:
    """What proves to a router that another one speaks: known to those that hold every tenant's engine token.

    Empty where there is none. Routers that have not yet seen the same change refuse one another for that moment.
    """
    tokens = sorted(token for token in engine_tokens if token)
    if not tokens:
        return ""
    return hmac.new("\n".join(tokens).encode(), b"shimmy routers", hashlib.sha256).hexdigest()


def _bearer(secret: str) -> str:
    return f"Bearer {secret}"


class Peers:
    """The other routers, as this one reaches them and they reach it."""

    def __init__(self, own: str, ledger: Ledger, use: TokenUse, clock: Callable[[], float] = time.time) -> None:
        self._own = own
        self._ledger = ledger
        self._use = use
        self._clock = clock
        self._make_secret: Callable[[], str] = str
        self._made: str | None = None
        self._links: dict[str, _Link] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._sessions: Counter[str] = Counter()
        self._homes: dict[str, str] = {}

    def set_members(self, members: Mapping[str, str]) -> None:
        """The other routers there are: names and base URLs."""
        for name, link in list(self._links.items()):
            if members.get(name) != link.url:
                self._links.pop(name).stop()
        for name, url in members.items():
            if name != self._own and name not in self._links:
                self._links[name] = _Link(self, name, url)

    def set_secret(self, make: Callable[[], str]) -> None:
        """`make` gives the shared_secret of now; it is called when that is needed. Open connections stay.

        To be told whenever it may have changed: at a start that is once for each tenant.
        """
        self._make_secret, self._made = make, None

    @property
    def _secret(self) -> str:
        if self._made is None:
            self._made = self._make_secret()
        return self._made

    def reachable(self) -> set[str]:
        """Names of those that can be asked now."""
        return {name for name, link in self._links.items() if link.connected}

    def count(self) -> int:
        """How many there are, reachable or not."""
        return len(self._links)

    async def ask(self, router: str, ask: Ask) -> Answer | None:
        """What that router says, or None if it does not in time. What it lets in is counted here too."""
        link = self._links.get(router)
        return await link.ask(ask) if link else None

    def ended(self, router: str, ask: Ask) -> None:
        """Tell a router what runs now that a request has ended."""
        if link := self._links.get(router):
            link.tell_running(ask)

    def counted_tokens(self, tenants: Iterable[str]) -> None:
        """Tell all of them what this router has counted of these tenants."""
        for link in self._links.values():
            link.tell_tokens(tenants)

    def replicate(self) -> None:
        """Tell the router that would be a tenant's home without this one what only this one knows."""
        others = self.reachable()
        for tenant in self._ledger.touched():
            if others and home(tenant, {self._own, *others}) == self._own:
                self._links[home(tenant, others)].tell_tenant(tenant)

    async def stop(self) -> None:
        """End all connections."""
        links = list(self._links.values())
        self.set_members({})
        await asyncio.gather(*(link.ended() for link in links))
        await asyncio.gather(*(socket.close(code=aiohttp.WSCloseCode.GOING_AWAY) for socket in tuple(self._sockets)))

    def routes(self) -> list[web.RouteDef]:
        """What the agent's HTTP server answers to other routers."""
        return [web.get(PATH, self._accept)]

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("authorization", "")
        name = request.headers.get(NAME_HEADER, "")
        if not self._secret or not name or not hmac.compare_digest(given.encode(), _bearer(self._secret).encode()):
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_LONGEST_MESSAGE)
        await socket.prepare(request)
        self._sockets.add(socket)
        self._sessions[name] += 1
        try:
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                if answer := self.take(name, message.data):
                    await socket.send_str(answer)
        except ValueError:
            log.warning("router %s speaks another language; its connection is closed", name)
        except OSError as error:
            log.debug("router %s does not listen: %s", name, error)
        finally:
            self._sockets.discard(socket)
            self._sessions[name] -= 1
            asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._leave, name)
        return socket

    def _leave(self, name: str) -> None:
        if not self._sessions[name]:
            self._ledger.gone(name)

    def take(self, name: str, text: Any) -> str:
        """Act on what another router says; the answer, or nothing.

        Raises:
            ValueError: it is no such message.
        """
        told = ToRouter.model_validate_json(text)
        for state in told.states:
            self._ledger.learn(state, name)
        for tenant, buckets in told.tokens:
            self._use.learn(tenant, name, buckets)
        now = self._clock()
        answers = [(number, self._ledger.decide(ask, name, now)) for number, ask in told.asks]
        return json.dumps({"answers": answers}) if answers else ""

    # What a link needs of its peers.

    def headers(self) -> dict[str, str]:
        """With which a connection is opened."""
        return {"authorization": _bearer(self._secret), NAME_HEADER: self._own}

    def rehome(self) -> None:
        """After a router became reachable or ceased to be: tell each tenant's new home what this one knows."""
        routers = {self._own, *self.reachable()}
        homes = {tenant: home(tenant, routers) for tenant in self._ledger.tenants()}
        for tenant, router in homes.items():
            if router != self._homes.get(tenant) and router != self._own:
                self._links[router].tell_tenant(tenant)
        self._homes = homes

    def message(
        self, receiver: str, tenants: set[str], ended: set[Ask], tokens: set[str], asks: "list[_Pending]"
    ) -> str:
        """The text that tells all this; the requests count as running from here on."""
        now = self._clock()
        states = [*self._ledger.state(tenants, receiver, now)]
        states += [state for ask in ended for state in self._ledger.own_running(ask)]
        for pending in asks:
            self._ledger.began(pending.ask)
        told = [(tenant, self._use.told(tenant, self._own, now)) for tenant in tokens]
        return json.dumps({"states": states, "asks": [(p.number, p.ask) for p in asks], "tokens": told})

    def answered(self, ask: Ask, answer: Answer | None) -> None:
        """Note the outcome of a request that was asked for."""
        if answer is None or answer.reason:
            self._ledger.ended(ask)
        else:
            self._ledger.granted(ask, self._clock())

    def counted(self) -> set[str]:
        """Tenants of which tokens were counted."""
        return set(self._use.tenants())


@dataclass(slots=True)
class _Pending:
    """A request that another router decides on."""

    number: int
    ask: Ask
    answer: asyncio.Future[Answer]
    sent: bool = False


class _Link:
    """The connection to one other router, opened again whenever it breaks."""

    def __init__(self, peers: Peers, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.connected = False
        self._peers = peers
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._tenants: set[str] = set()
        self._ended: set[Ask] = set()
        self._tokens: set[str] = set()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """End it for good."""
        self._task.cancel()

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.gather(self._task, return_exceptions=True)

    async def ask(self, ask: Ask) -> Answer | None:
        """See Peers.ask."""
        if not self.connected:
            return None
        pending = _Pending(next(self._numbers), ask, asyncio.get_running_loop().create_future())
        self._pending[pending.number] = pending
        self._wake.set()
        answer = None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await pending.answer
        except (TimeoutError, ConnectionError):
            pass
        finally:  # also where the client has left
            del self._pending[pending.number]
            if pending.sent:
                self._peers.answered(ask, answer)
                if answer is None or answer.reason:
                    self.tell_running(ask)
        return answer

    def tell_running(self, ask: Ask) -> None:
        """Tell how much of a request's counters runs."""
        self._ended.add(ask)
        self._wake.set()

    def tell_tenant(self, tenant: str) -> None:
        """Tell everything of a tenant."""
        self._tenants.add(tenant)
        self._wake.set()

    def tell_tokens(self, tenants: Iterable[str]) -> None:
        """Tell what was counted of these tenants."""
        self._tokens.update(tenants)
        self._wake.set()

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=1.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    async with session.ws_connect(
                        self.url + PATH,
                        headers=self._peers.headers(),
                        heartbeat=_HEARTBEAT_SECONDS,
                        max_msg_size=_LONGEST_MESSAGE,
                    ) as socket:
                        pause = _FIRST_PAUSE
                        await self._talk(socket)
                except _FAILURES as error:
                    log.debug("router %s cannot be reached: %s", self.name, type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        log.info("connected to router %s", self.name)
        self.connected = True
        self.tell_tokens(self._peers.counted())
        self._peers.rehome()
        listener = asyncio.create_task(self._listen(socket))
        try:
            while not listener.done():
                await self._wake.wait()
                self._wake.clear()
                if not listener.done():
                    await socket.send_str(self._message())
            listener.result()
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError, *_FAILURES):
                await listener
            self.connected = False
            for pending in self._pending.values():
                if not pending.answer.done():
                    pending.answer.set_exception(ConnectionError(self.name))
            self._peers.rehome()
            log.info("lost router %s", self.name)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                for number, answer in ToAsker.model_validate_json(message.data).answers:
                    pending = self._pending.get(number)
                    if pending and not pending.answer.done():
                        pending.answer.set_result(answer)
        finally:
            self._wake.set()

    def _message(self) -> str:
        asks = [pending for pending in self._pending.values() if not pending.sent]
        text = self._peers.message(self.name, self._tenants, self._ended, self._tokens, asks)
        for pending in asks:
            pending.sent = True
        self._tenants, self._ended, self._tokens = set(), set(), set()
        return text
