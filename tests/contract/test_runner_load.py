"""Nothing is lost, doubled or mixed up: under load, with clients that leave, and with a Shimmy that is killed.

Short forms of `hack/bench engine`. Each test fails with the list of what is wrong.
"""

from pathlib import Path

import pytest
from tests.contract.running import Program

from devkit.bench.engine import kills, load, loss
from devkit.bench.engine.crowd import whole
from devkit.bench.engine.verdict import REFUSALS

LOAD = load.Size(requests=120, clients=20, queue=20)


def settled(result: load.Result, size: load.Size) -> None:
    """Every wish was asked until it was answered or left, and no slot and no connection stayed taken."""
    assert result.faults == []
    ends = [seen.wish.name for seen in result.seen if seen.code not in REFUSALS and seen.wish.name.startswith("wish-")]
    assert len(ends) == len(set(ends)) == size.requests
    assert len(whole(result.seen)) > size.requests / 2
    assert result.at_rest_after.shimmy_files <= result.at_rest_before.shimmy_files + 2
    assert result.at_rest_after.state_files == result.at_rest_before.state_files


def test_a_load_with_clients_that_leave(fake: Program, tmp_path: Path) -> None:
    result = load.measure(fake, tmp_path, LOAD)
    settled(result, LOAD)
    assert len([seen for seen in result.seen if seen.left]) > LOAD.requests / 10
    assert {record.outcome for record in result.records} == {"completed", "cancelled"}


def test_a_load_past_the_queue_is_refused_cleanly_and_served_later(fake: Program, tmp_path: Path) -> None:
    size = load.Size(requests=60, clients=20, queue=4)
    result = load.measure(fake, tmp_path, size)
    settled(result, size)
    assert {seen.code for seen in result.seen} == {"", "queue_full"}


@pytest.mark.parametrize("line", ["real_llama", "real_airframe"])
def test_a_load_on_the_real_one(line: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    size = load.Size(requests=24, clients=6, queue=6, questions=6)
    result = load.measure(request.getfixturevalue(line), tmp_path, size)
    settled(result, size)


def test_a_shimmy_that_is_killed_again_and_again(fake: Program, tmp_path: Path) -> None:
    """Four times: a Shimmy that lives short is restarted later and later."""
    result = kills.measure(fake, tmp_path, kills.Plan(kills=4, clients=4, pause=0.1))
    assert result.faults == []
    assert (len(result.recoveries), result.restarts, result.orphans) == (4, 4, 0)
    assert {seen.code for seen in result.seen} <= {"", "engine_failed"}


def test_a_runner_that_is_killed_has_written_down_every_answer_that_was_whole(fake: Program, tmp_path: Path) -> None:
    for lost in loss.measure(fake, tmp_path, loss.Plan(kills=2, clients=6, pull=0.5)):
        assert lost.whole > 0
        assert lost.kept == lost.whole
        assert lost.repeated == 0
        assert len(lost.cut_tokens) <= 1, "one answer at a time can be cut"
