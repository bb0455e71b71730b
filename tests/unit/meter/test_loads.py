import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shimmy_api.load import LoadReport, ModelLoad
from shimmy_meter.loads import HELD_SECONDS, SILENT_SECONDS, Load, Loads


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def report(router: str, *loads: ModelLoad) -> LoadReport:
    return LoadReport(router=router, loads=loads)


def busy(in_flight: int, model: str = "m", namespace: str = "ns", **others: float) -> ModelLoad:
    return ModelLoad.model_validate(
        {"namespace": namespace, "instance": "i", "model": model, "inFlight": in_flight, **others}
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loads(clock: Clock) -> Loads:
    return Loads(clock)


def test_reports_are_camel_case_on_the_wire() -> None:
    text = report("r0", busy(1, queued=2, tokensPerSecond=3.5)).model_dump_json(by_alias=True)
    assert '"inFlight":1' in text
    assert '"tokensPerSecond":3.5' in text
    assert LoadReport.model_validate_json(text) == report("r0", busy(1, queued=2, tokensPerSecond=3.5))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1"])
def test_what_is_no_amount_is_refused(value: str) -> None:
    text = report("r0", busy(1, tokensPerSecond=7.25)).model_dump_json(by_alias=True).replace("7.25", value)
    with pytest.raises(ValidationError):
        LoadReport.model_validate_json(text)


def test_routers_add_up(loads: Loads) -> None:
    loads.take(report("r0", busy(1, queued=2, held=3, tokensPerSecond=1.5, firstByteSeconds=0.5)))
    loads.take(report("r1", busy(4, tokensPerSecond=2, firstByteSeconds=0.25)))
    assert loads.of("ns") == [Load("ns", "i", "m", 10, 5, 2, 3, 3.5, 0.5)]
    assert loads.of("elsewhere") == []
    assert loads.routers() == 2


def test_a_report_takes_the_place_of_the_last_one(loads: Loads, clock: Clock) -> None:
    loads.take(report("r0", busy(4, "a"), busy(4, "b")))
    clock.now += 1
    loads.take(report("r0", busy(1, "a")))
    assert [(load.model, load.in_flight) for load in loads.of("ns")] == [("a", 1), ("b", 0)]


def test_a_silent_router_drops_out(loads: Loads, clock: Clock) -> None:
    loads.take(report("r0", busy(5)))
    clock.now += SILENT_SECONDS
    assert loads.of("ns")[0].in_flight == 5
    clock.now += 0.1
    loads.take(report("r1", busy(1)))
    assert loads.of("ns")[0].in_flight == 1
    assert loads.routers() == 1


def test_a_burst_is_read_for_two_rounds(loads: Loads, clock: Clock) -> None:
    start = clock.now
    for second in range(60):
        clock.now = start + second
        loads.take(report("r0", busy(9 if second == 10 else 2)))
        seen = loads.of("ns")[0].peak
        assert seen == (9 if 10 <= second <= 10 + HELD_SECONDS else 2), second


def test_models_and_routers_that_nobody_names_are_forgotten(loads: Loads, clock: Clock) -> None:
    for number in range(100):
        loads.take(report(f"r{number}", busy(1, f"m{number}", f"ns{number}")))
    clock.now += HELD_SECONDS + 1
    assert loads.all() == []
    loads.take(report("r", busy(1)))
    assert list(loads._namespaces) == ["ns"]
    assert list(loads._heard) == ["r"]


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 8), st.integers(0, 9)), max_size=60))
def test_the_peak_is_the_highest_sum_within_the_time(steps: list[tuple[int, float, int]]) -> None:
    clock = Clock()
    loads = Loads(clock)
    last: dict[int, tuple[float, int]] = {}
    sums: list[tuple[float, int]] = []
    for router, pause, amount in steps:
        clock.now += pause
        last[router] = (clock.now, amount)
        sums.append((clock.now, sum(n for at, n in last.values() if clock.now - at <= SILENT_SECONDS)))
        loads.take(report(f"r{router}", busy(amount)))
        assert loads.of("ns")[0].peak == max(n for at, n in sums if clock.now - at <= HELD_SECONDS)
