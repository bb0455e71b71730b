import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devkit import processes
from devkit.processes import Processes
from devkit.waiting import until

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.stop_all(at_once=True)


def test_a_process_is_known_again_from_its_record_and_ended(running: Processes, tmp_path: Path) -> None:
    pid = running.start("sleep", SLEEP).pid

    later = Processes(tmp_path)
    known = later.get("sleep")
    assert known is not None
    assert known.alive()
    later.stop("sleep")

    assert processes.start_ticks(pid) is None
    assert later.get("sleep") is None


def test_a_process_that_has_taken_over_the_id_is_left_alone(running: Processes) -> None:
    known = running.start("sleep", SLEEP)

    processes.end(replace(known, start_ticks=known.start_ticks + 1))
    processes.end(replace(known, boot="another-boot"))

    assert known.alive()


def test_a_process_deaf_to_sigterm_is_killed(running: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_KILL_AFTER_SECONDS", 0.5)
    known = running.start("deaf", STUBBORN)
    until(lambda: "deaf" in running.tail("deaf"), "it ignores SIGTERM", seconds=10)

    running.stop("deaf")

    assert not known.alive()


def test_a_process_without_a_record_is_found_by_its_environment(running: Processes, tmp_path: Path) -> None:
    known = running.start("sleep", SLEEP)
    (tmp_path / "pids" / "sleep.json").unlink()

    running.stop_all(at_once=True)

    assert not known.alive()


def test_a_second_process_of_one_name_is_refused(running: Processes) -> None:
    running.start("sleep", SLEEP)

    with pytest.raises(FileExistsError, match="runs already"):
        running.start("sleep", SLEEP)


def test_output_goes_to_the_log(running: Processes) -> None:
    running.start("deaf", STUBBORN)

    until(lambda: running.tail("deaf") == "deaf", "the log has it", seconds=10)


def test_an_ended_child_is_not_alive_though_nobody_waited_for_it(running: Processes) -> None:
    known = running.start("sleep", SLEEP)
    os.kill(known.pid, signal.SIGKILL)

    until(lambda: not known.alive(), "it has ended", seconds=10)
