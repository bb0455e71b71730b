import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shimmy_meter.loads import SILENT_SECONDS, Load, Loads
from shimmy_meter.series import HELD_SECONDS
from shimmy_meter.wire import DeploymentLoad, DeploymentTotal, LoadReport, LoadTotals, PodLoad


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def say(loads: Loads, router: str, *said: DeploymentLoad) -> None:
    loads.take(f"ns/{router}", LoadReport(router=router, loads=said))


def busy(pods: dict[str, int], deployment: str = "i-m", namespace: str = "ns", **others: float) -> DeploymentLoad:
    """Pods with so many requests in flight."""
    told = {pod: {"inFlight": in_flight} for pod, in_flight in pods.items()}
    place = {"namespace": namespace, "deployment": deployment, "instance": "i", "model": "m"}
    return msgspec.convert({**place, "pods": told, **others}, DeploymentLoad)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loads(clock: Clock) -> Loads:
    return Loads(clock)


def test_pods_and_what_routers_hold_add_up(loads: Loads) -> None:
    pod = PodLoad(in_flight=1, queued=2)
    one = replace(busy({}, held=3, tokensPerSecond=1.5, firstByteSeconds=0.5), pods={"p": pod})
    say(loads, "r0", one)
    say(loads, "r1", busy({"q": 4}, held=1, tokensPerSecond=2, firstByteSeconds=0.25))
    assert loads.of("ns") == [Load("ns", "i-m", "i", "m", 11, 5, 2, 4, 3.5, 0.5)]
    assert loads.of("elsewhere") == []
    assert loads.routers() == 2


def test_only_so_many_deployments_of_a_namespace_are_known(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shimmy_meter.loads.MOST_IN_A_NAMESPACE", 2)
    for name in "abc":
        say(loads, "r0", busy({"p": 1}, name))
    say(loads, "r0", busy({"p": 2}, "a"), busy({"p": 1}, "c"), busy({"p": 1}, "c", "other"))
    assert [(load.deployment, load.in_flight) for load in loads.of("ns")] == [("a", 2), ("b", 0)]
    assert len(loads.of("other")) == 1


def test_names_are_labels(loads: Loads) -> None:
    long = replace(busy({}), instance="i" * 80, model="llama-3.2")
    shared = replace(busy({}, "i--slots"), model="")
    say(loads, "r0", long, shared)
    found = loads.of("ns")
    assert [len(load.instance) for load in found] == [1, 63]
    assert ["." in load.model for load in found] == [False, False]
    assert found[0].model == ""


def test_what_was_said_last_of_a_pod_counts_whoever_said_it(loads: Loads, clock: Clock) -> None:
    for router, in_flight in (("r0", 4), ("r1", 2), ("r0", 7), ("r1", 3)):
        clock.now += 0.1
        say(loads, router, busy({"p": in_flight, "q": 1}))
        assert loads.of("ns")[0].in_flight == in_flight + 1


def test_a_pods_word_goes_with_the_router_that_gave_it(loads: Loads, clock: Clock) -> None:
    say(loads, "r0", busy({"p": 2, "q": 1}))
    clock.now += 1
    say(loads, "r1", busy({"p": 5}))
    assert loads.of("ns")[0].in_flight == 6
    clock.now += SILENT_SECONDS
    say(loads, "r1", busy({"p": 5}))
    assert loads.totals().totals[0].pods == {"p": PodLoad(in_flight=5)}


def test_a_pod_that_another_router_still_tells_stays(loads: Loads, clock: Clock) -> None:
    say(loads, "r1", busy({"p": 5}))
    clock.now += 1
    say(loads, "r0", busy({"p": 2}))
    say(loads, "r0", busy({}))
    assert loads.of("ns")[0].in_flight == 5
    say(loads, "r1")
    assert loads.of("ns")[0].in_flight == 0


def test_a_report_takes_the_place_of_the_last_one(loads: Loads, clock: Clock) -> None:
    say(loads, "r0", busy({"p": 4}, "a"), busy({"q": 4}, "b"))
    clock.now += 1
    say(loads, "r0", busy({"p": 1}, "a"))
    assert [(load.deployment, load.in_flight, load.peak) for load in loads.of("ns")] == [("a", 1, 4), ("b", 0, 4)]


def test_a_silent_router_drops_out(loads: Loads, clock: Clock) -> None:
    say(loads, "r0", busy({"p": 5}, held=2, holding=True))
    say(loads, "r1", busy({}, holding=True))
    clock.now += SILENT_SECONDS
    say(loads, "r1", busy({}, holding=True))
    assert loads.totals() == LoadTotals(
        routers=("ns/r0", "ns/r1"),
        totals=(
            DeploymentTotal(
                namespace="ns",
                deployment="i-m",
                peak=7,
                held=2,
                pods={"p": PodLoad(in_flight=5)},
                holding=("ns/r0", "ns/r1"),
            ),
        ),
    )
    clock.now += 0.1
    assert loads.totals() == LoadTotals(
        routers=("ns/r1",),
        totals=(DeploymentTotal(namespace="ns", deployment="i-m", peak=7, held=0, pods={}, holding=("ns/r1",)),),
    )


def test_of_routers_that_fall_silent_together_nobodys_word_outlives_the_others(loads: Loads, clock: Clock) -> None:
    say(loads, "r0", busy({}))
    say(loads, "r1", busy({"p": 5}))
    clock.now += SILENT_SECONDS + 1
    assert [load.peak for load in loads.of("ns")] == [5]
    clock.now += HELD_SECONDS - SILENT_SECONDS
    assert loads.of("ns") == []


def test_silence_is_no_load_of_zero(loads: Loads, clock: Clock) -> None:
    say(loads, "r0", busy({"p": 5}))
    clock.now += SILENT_SECONDS + 1
    assert [load.peak for load in loads.of("ns")] == [5]
    clock.now += HELD_SECONDS - SILENT_SECONDS
    assert loads.of("ns") == []


def test_a_burst_is_read_for_two_rounds(loads: Loads, clock: Clock) -> None:
    start = clock.now
    for second in range(60):
        clock.now = start + second
        say(loads, "r0", busy({"p": 9 if second == 10 else 2}))
        seen = loads.of("ns")[0].peak
        assert seen == (9 if 10 <= second <= 10 + HELD_SECONDS else 2), second


def test_what_nobody_names_is_forgotten(loads: Loads, clock: Clock) -> None:
    for number in range(100):
        say(loads, f"r{number}", busy({"p": 1}, f"d{number}", f"ns{number}"))
    clock.now += HELD_SECONDS + 1
    assert loads.all() == []
    say(loads, "r", busy({"p": 1}))
    assert list(loads._namespaces) == ["ns"]
    assert list(loads._heard) == ["ns/r"]


Word = tuple[dict[str, int], int]
"""Requests in flight by pod, and those that are held."""


def expected(words: dict[int, tuple[float, Word]], now: float) -> int:
    """The sum over what was said last of each pod, and all that is held."""
    heard = [word for at, word in words.values() if now - at <= SILENT_SECONDS]
    pods: dict[str, int] = {}
    for said, _ in heard:
        pods |= said
    return sum(pods.values()) + sum(held for _, held in heard)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(0, 8),
            st.dictionaries(st.sampled_from("pqr"), st.integers(0, 9)),
            st.integers(0, 3),
        ),
        max_size=60,
    )
)
def test_the_peak_is_the_highest_sum_within_the_time(steps: list[tuple[int, float, dict[str, int], int]]) -> None:
    clock = Clock()
    loads = Loads(clock)
    last: dict[int, tuple[float, Word]] = {}
    sums: list[tuple[float, int]] = []
    for router, pause, pods, held in steps:
        clock.now += pause
        if silent := [one for one, (at, _) in last.items() if clock.now - at > SILENT_SECONDS]:
            for one in silent:
                del last[one]
            if last:
                sums.append((clock.now, expected(last, clock.now)))
        last.pop(router, None)
        last[router] = (clock.now, (pods, held))
        sums.append((clock.now, expected(last, clock.now)))
        say(loads, f"r{router}", busy(pods, held=held))
        load = loads.of("ns")[0]
        assert load.in_flight + load.held == sums[-1][1]
        assert load.peak == max(n for at, n in sums if clock.now - at <= HELD_SECONDS)
