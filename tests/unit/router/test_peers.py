import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from devkit.waiting import until
from shimmy_router.limiter import Limiter
from shimmy_router.limits.ledger import Ask, Ledger, Limits
from shimmy_router.limits.members import home
from shimmy_router.limits.policy import Policy
from shimmy_router.limits.tokens import TokenUse
from shimmy_router.peers import NAME_HEADER, PATH, Peers, shared_secret
from shimmy_router.processing import Admitted, Call

SECRET = shared_secret(["engine-token-of-a-tenant"])
NAMES = ("r0", "r1", "r2")


class Router:
    """The part of an agent that limits need."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.use = TokenUse()
        self.ledger = Ledger(name)
        self.peers = Peers(name, self.ledger, self.use)
        self.peers.set_secret(lambda: SECRET)
        self.limiter = Limiter(name, self.ledger, self.peers)
        self.url = ""
        self._runner: web.AppRunner | None = None

    def limit(self, per_minute: int | None = None, concurrent: int | None = None) -> None:
        self.limiter.set_policies({"t": Policy(Limits(per_minute, concurrent))})

    async def start(self, port: int = 0) -> None:
        application = web.Application()
        application.add_routes(self.peers.routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self.peers.stop()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None


@asynccontextmanager
async def routers(count: int) -> AsyncIterator[list[Router]]:
    """Routers that all know one another."""
    started = [Router(name) for name in NAMES[:count]]
    async with AsyncExitStack() as stack:
        for router in started:
            await router.start()
            stack.push_async_callback(router.stop)
        introduce(started)
        await eventually(lambda: all(len(r.peers.reachable()) == count - 1 for r in started))
        yield started


def introduce(known: list[Router]) -> None:
    for router in known:
        router.peers.set_members({other.name: other.url for other in known})


async def eventually(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, condition, "it", seconds=10)


async def admitted(router: Router, count: int) -> list[Admitted]:
    outcomes = await asyncio.gather(*(router.limiter.decide(Call("t")) for _ in range(count)))
    return [outcome for outcome in outcomes if isinstance(outcome, Admitted)]


def end(requests: list[Admitted]) -> None:
    for request in requests:
        assert request.ended
        request.ended()


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_all_routers_together_let_exactly_the_limit_in(count: int) -> None:
    async with routers(count) as started:
        for router in started:
            router.limit(per_minute=50)
        uneven = [admitted(router, 100 // (number + 1)) for number, router in enumerate(started)]
        assert sum(map(len, await asyncio.gather(*uneven))) == 50


async def test_a_request_that_ends_at_one_router_makes_room_at_another() -> None:
    async with routers(3) as started:
        for router in started:
            router.limit(concurrent=6)
        running = [await admitted(router, 2) for router in started]
        assert await admitted(started[0], 1) == []
        end(running[2])
        counting = next(router for router in started if router.name == home("t", NAMES))
        await eventually(lambda: sum(part.running for part in counting.ledger._counters["t", ""].values()) == 4)
        assert len(await admitted(started[0], 3)) == 2


async def test_refused_requests_and_clients_that_leave_hold_nothing() -> None:
    async with routers(3) as started:
        asker = next(router for router in started if router.name != home("t", NAMES))
        asker.limit(concurrent=3)
        for _ in range(5):
            tasks = [asyncio.create_task(asker.limiter.decide(Call("t"))) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await eventually(lambda: not asker.ledger.own_running(Ask("t", ""))[0].running)
        # What is told next sets right what was counted for those that had left.
        assert len(await admitted(asker, 5)) == 3


async def test_a_tenant_whose_home_is_away_gets_a_new_one_that_knows_what_was_used_and_so_does_the_old_one_again() -> (
    None
):
    async with routers(3) as started:
        for router in started:
            router.limit(per_minute=40)
        first = next(router for router in started if router.name == home("t", NAMES))
        others = [router for router in started if router is not first]
        for router in started:
            assert len(await admitted(router, 10)) == 10
        first.peers.replicate()
        second = next(router for router in others if router.name == home("t", [router.name for router in others]))
        await eventually(lambda: known_to(second) == 20)
        await first.stop()
        await eventually(lambda: all(first.name not in router.peers.reachable() for router in others))
        await eventually(lambda: known_to(second) == 30)
        assert sum([len(await admitted(router, 4)) for router in others]) == 8

        again = Router(first.name)
        again.limit(per_minute=40)
        await again.start()
        try:
            introduce([*others, again])
            await eventually(lambda: known_to(again) == 38)
            assert len(await admitted(again, 20)) == 2
        finally:
            await again.stop()


def known_to(router: Router) -> int:
    return sum(part.window.total(0) for part in router.ledger._counters["t", ""].values())


async def test_a_home_that_does_not_answer_is_done_without() -> None:
    async with routers(2) as started:
        asker = next(router for router in started if router.name != home("t", NAMES[:2]))
        asker.limit(per_minute=10)
        silent = next(router for router in started if router is not asker)
        silent.peers.take = lambda *_: ""  # type: ignore[method-assign]
        assert len(await admitted(asker, 20)) == 5  # its half


async def test_tokens_that_one_router_counted_are_known_to_all() -> None:
    async with routers(3) as started:
        now = time.time()
        started[0].use.add("t", "r0", 70, now)
        started[0].peers.counted_tokens({"t"})
        for router in started[1:]:
            await eventually(lambda router=router: bool(router.use.windows("t")))  # type: ignore[misc]
            assert sum(window.total(now) for window in router.use.windows("t")) == 70


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Bearer {SECRET}"}])
async def test_strangers_are_refused(headers: dict[str, str]) -> None:
    async with routers(1) as (router,), aiohttp.ClientSession() as session:
        given = headers | ({} if SECRET in str(headers) else {NAME_HEADER: "r9"})
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(router.url + PATH, headers=given)
        assert refused.value.status == 401


async def test_without_a_secret_nobody_is_let_in() -> None:
    assert shared_secret([""]) == ""
    async with routers(1) as (router,), aiohttp.ClientSession() as session:
        router.peers.set_secret(str)
        headers = {"authorization": "Bearer ", NAME_HEADER: "r9"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(router.url + PATH, headers=headers)
        assert refused.value.status == 401


async def test_the_secret_is_made_when_it_is_needed_and_once_for_each_change() -> None:
    made = []

    def make() -> str:
        made.append(SECRET)
        return SECRET

    async with routers(1) as (router,), aiohttp.ClientSession() as session:
        for changes in (1000, 1):
            for _ in range(changes):
                router.peers.set_secret(make)
            for name in ("r8", "r9"):
                headers = {"authorization": f"Bearer {SECRET}", NAME_HEADER: name}
                await (await session.ws_connect(router.url + PATH, headers=headers)).close()
    assert len(made) == 2


async def test_a_router_that_talks_nonsense_is_hung_up_on() -> None:
    async with routers(1) as (router,), aiohttp.ClientSession() as session:
        headers = {"authorization": f"Bearer {SECRET}", NAME_HEADER: "r9"}
        async with session.ws_connect(router.url + PATH, headers=headers) as socket:
            await socket.send_str('{"states": [["t", "", [["x"]], -1]]}')
            message = await socket.receive(10)
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
