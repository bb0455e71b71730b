import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shimmy_api.load import PodLoad
from shimmy_router.fleet import Model
from shimmy_router.occupancy import Occupancy, Watched, moves, parse_load
from shimmy_router.occupancy_streams import PATH, OccupancyStreams
from shimmy_router.records import Endpoint
from shimmy_router.xds.endpoints import UNREACHABLE, Address, Slot

ONE, OTHER = ("192.0.2.1", 8080), ("192.0.2.2", 8080)


HERE, THERE = Watched(ONE, "t"), Watched(OTHER, "t")


def model(name: str, *pods: Address, token: str = "t", shared: bool = False) -> Model:
    return Model(name, "a", endpoints=tuple(Endpoint(*pod) for pod in pods), engine_token=token, shared=shared)


def nobody(_: str) -> None:
    """Hears of no change."""


def test_only_pods_that_there_is_a_choice_between_are_watched() -> None:
    occupancy = Occupancy(nobody, limit=99)
    several, alone = model("several", ONE, OTHER), model("alone", ("192.0.2.3", 8080))
    shared = model("lent", ("192.0.2.4", 8080), ("192.0.2.5", 8080), shared=True)
    ending = Model("ending", "a", endpoints=(Endpoint(*ONE), Endpoint(*OTHER, draining=True)))
    assert occupancy.follow("a", [several, alone, shared, ending]) == ({HERE, THERE}, set())
    assert set(occupancy.models) == {"a/several"}


def test_each_cluster_of_a_pod_hears_of_its_change_and_of_nothing_else() -> None:
    heard: list[str] = []
    occupancy = Occupancy(heard.append, limit=99)
    occupancy.follow("a", [model("m", ONE, OTHER), model("n", ONE, OTHER), model("o", ("192.0.2.3", 1), OTHER)])
    heard.clear()
    occupancy.set(HERE, 2)
    assert sorted(heard) == ["a/m", "a/n"]
    assert occupancy.loads(occupancy.models["a/m"]) == {ONE: 2}
    heard.clear()
    occupancy.set(HERE, 2)
    occupancy.set(Watched(("198.51.100.1", 1), "t"), 3)
    assert heard == []
    occupancy.set(HERE, None)
    assert sorted(heard) == ["a/m", "a/n"]
    assert occupancy.loads(occupancy.models["a/m"]) == {}


def test_what_is_known_of_a_pod_stays_while_others_come_and_go() -> None:
    heard: list[str] = []
    occupancy = Occupancy(heard.append, limit=99)
    occupancy.follow("a", [model("m", ONE, OTHER)])
    occupancy.set(HERE, 1)
    third = Watched(("192.0.2.3", 8080), "t")
    heard.clear()
    assert occupancy.follow("a", [model("m", ONE, third.address)]) == ({third}, {THERE})
    assert heard == ["a/m"]
    assert occupancy.loads(occupancy.models["a/m"]) == {ONE: 1}


def test_pods_that_are_gone_are_forgotten() -> None:
    occupancy = Occupancy(nobody, limit=99)
    occupancy.follow("a", [model("m", ONE, OTHER), model("n", ONE, OTHER)])
    occupancy.set(HERE, 1)
    assert occupancy.follow("a", [model("n", ONE, OTHER)]) == (set(), set())
    assert occupancy.follow("a", []) == (set(), {HERE, THERE})
    occupancy.set(HERE, 2)
    assert occupancy.models == {}
    assert occupancy.follow("a", [model("m", ONE, OTHER)]) == ({HERE, THERE}, set())
    assert occupancy.loads(occupancy.models["a/m"]) == {}


def test_what_one_tenant_says_of_an_address_is_not_told_to_another() -> None:
    occupancy = Occupancy(nobody, limit=99)
    mine, theirs = model("m", ONE, OTHER), Model("m", "b", endpoints=model("m", ONE, OTHER).endpoints, engine_token="u")
    occupancy.follow("a", [mine])
    occupancy.follow("b", [theirs])
    occupancy.set(Watched(ONE, "u"), 9)
    assert (occupancy.loads(mine), occupancy.loads(theirs)) == ({}, {ONE: 9})


def test_the_number_of_watched_pods_is_bounded() -> None:
    pods = [(f"192.0.2.{number}", 8080) for number in range(50)]
    occupancy = Occupancy(nobody, limit=10)
    begun, _ = occupancy.follow("a", [model("m", *pods)])
    assert len(begun) == 10
    assert occupancy.follow("a", []) == (set(), begun)


A, B, C, D = (("192.0.2." + last, 8080) for last in "1234")


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ({A: 0, B: 2, C: 3, D: 1}, {A: [C, B]}),
        ({A: 0, B: 0, C: 3, D: 1}, {A: [C], B: [C]}),
        ({A: 0, B: 0, C: 3, D: 3}, {A: [C, D], B: [D, C]}),
        ({A: 0, B: 0, C: 2, D: 0}, {A: [C]}),
        ({A: 0, B: 1, C: 1, D: 1}, {}),
        ({A: 1, B: 5, C: 5, D: 5}, {}),
        ({A: 0, B: UNREACHABLE}, {}),
        ({B: 3}, {}),
    ],
    ids=["longest", "two of one", "two of two", "one only", "none waits", "none idle", "gone", "unknown"],
)
def test_requests_go_from_the_longest_queues_to_idle_pods(
    loads: dict[Address, float], expected: dict[Address, list[Address]]
) -> None:
    assert moves(loads) == expected


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"[]", b"{", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"inFlight":1}'),
        *(b'{"inFlight":"1","queued":"2"}', b'{"inFlight":-1,"queued":0}', b'{"inFlight":1e9,"queued":1}'),
        *(b'{"inFlight":9999999999,"queued":1}', b'{"inFlight":NaN,"queued":1}'),
        *(b'{"inFlight":0,"queued":0,"model":"m"}', b'{"inFlight":0,"queued":0,"model":"m","swapped":"","used":[]}'),
    ],
)
def test_nonsense_is_no_load(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"no (load|number)"):
        parse_load(line)


def test_a_pod_whose_engine_restarts_counts_as_if_it_had_a_request_more() -> None:
    assert parse_load(b'{"inFlight":0,"queued":0,"ready":false}') == (1.0, None, PodLoad())
    assert parse_load(b'{"inFlight":1,"queued":2,"ready":true}') == (3.0, None, PodLoad(in_flight=1, queued=2))


def test_a_pod_that_models_share_says_which_one_it_has() -> None:
    line = b'{"inFlight":1,"queued":2,"model":"m","swapped":3.5,"used":0}'
    assert parse_load(line) == (3.0, Slot("m", 3.5, 0.0), PodLoad(in_flight=1, queued=2))
    assert parse_load(b'{"inFlight":1,"queued":2}') == (3.0, None, PodLoad(in_flight=1, queued=2))


def test_a_change_of_the_model_is_told_to_all_models_that_share_the_pod() -> None:
    told: list[str] = []
    occupancy = Occupancy(told.append, limit=9)
    pods = (Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 1))
    models = [Model(name, "t", endpoints=pods, engine_token="t") for name in ("m", "n")]
    occupancy.follow("t", models)
    told.clear()
    pod = Watched(("192.0.2.1", 1), "t")
    occupancy.set(pod, 0.0, Slot("m", 1.0, 0.0))
    assert sorted(told) == ["t/m", "t/n"]
    occupancy.set(pod, 0.0, Slot("m", 1.0, 0.0))
    assert len(told) == 2
    assert occupancy.slots(models[1]) == {("192.0.2.1", 1): Slot("m", 1.0, 0.0)}
    occupancy.set(pod, None)
    assert occupancy.slots(models[1]) == {}


class Pod:
    """A runner's load stream, as a test wants it."""

    def __init__(self, status: int = 200) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.opened, self.closed, self.tokens = 0, asyncio.Event(), list[str | None]()
        self._status = status

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.opened += 1
        self.tokens.append(request.headers.get("x-shimmy-engine-token"))
        response = web.StreamResponse(status=self._status)
        await response.prepare(request)
        try:
            while line := await self.lines.get():
                await response.write(line)
        finally:
            self.closed.set()
        return response


@asynccontextmanager
async def serving(*pods: Pod) -> AsyncIterator[list[Address]]:
    servers = []
    for pod in pods:
        application = web.Application()
        application.router.add_get(PATH, pod.answer)
        servers.append(TestServer(application, host="127.0.0.1"))
    try:
        for server in servers:
            await server.start_server()
        yield [("127.0.0.1", server.port or 0) for server in servers]
    finally:
        for server in servers:
            await server.close()


class Told:
    """What is said of the loads, and a wait for something to be said."""

    def __init__(self) -> None:
        self.loads: dict[Address, float | None] = {}
        self._changed = asyncio.Event()

    def __call__(self, pod: Watched, load: float | None, *_: object) -> None:
        self.loads[pod.address] = load
        self._changed.set()

    async def until(self, address: Address, load: float | None) -> None:
        async with asyncio.timeout(20):
            while self.loads.get(address, "nothing") != load:
                await self._changed.wait()
                self._changed.clear()


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def streams(told: Told) -> AsyncIterator[OccupancyStreams]:
    found = OccupancyStreams(told)
    yield found
    await found.aclose()


async def test_loads_are_read_until_a_pod_is_gone(told: Told, streams: OccupancyStreams) -> None:
    pod = Pod()
    async with serving(pod) as (address,):
        streams.begin(Watched(address, "t"))
        pod.lines.put_nowait(b'{"inFlight":1,"queued":2}\n')
        await told.until(address, 3)
        assert pod.tokens == ["t"]
        pod.lines.put_nowait(b"")  # ends the stream
        await told.until(address, UNREACHABLE)
        pod.lines.put_nowait(b'{"inFlight":1,"queued":0}\n')
        await told.until(address, 1)
        assert pod.opened == 2
        pod.closed.clear()
        streams.end(Watched(address, "t"))
        async with asyncio.timeout(20):
            await pod.closed.wait()


async def test_a_pod_that_does_not_answer_is_avoided(told: Told, streams: OccupancyStreams) -> None:
    nowhere = ("127.0.0.1", 1)
    streams.begin(Watched(nowhere, "t"))
    await told.until(nowhere, UNREACHABLE)


async def test_a_silent_pod_is_avoided(told: Told, streams: OccupancyStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shimmy_router.occupancy_streams._SILENCE_SECONDS", 0.05)
    pod = Pod()
    async with serving(pod) as (address,):
        streams.begin(Watched(address, "t"))
        pod.lines.put_nowait(b'{"inFlight":1,"queued":2}\n')
        await told.until(address, UNREACHABLE)


async def test_of_a_pod_that_tells_no_load_nothing_is_known(told: Told, streams: OccupancyStreams) -> None:
    pod = Pod(status=404)
    pod.lines.put_nowait(b"")
    async with serving(pod) as (address,):
        streams.begin(Watched(address, "t"))
        await told.until(address, None)
