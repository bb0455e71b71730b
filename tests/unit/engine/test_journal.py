import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shimmy_engine.journal import Journal

FIELDS: dict[str, Any] = {
    "time": datetime(2026, 1, 1, tzinfo=UTC),
    "tenant": "acme",
    "key_id": "abcd1234",
    "namespace": "shimmy-acme",
    "model": "m",
    "pod": "m-0",
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "outcome": "completed",
    "queue_seconds": 0.5,
    "seconds": 1.5,
}


def fill(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.append(request_id=f"r{number}", **FIELDS)


def sequence(journal: Journal, *, ack: int = 0, limit: int = 1000) -> list[int]:
    return [record.seq for record in journal.page(ack=ack, limit=limit).records]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


def test_records_are_paged_oldest_first_until_they_are_acknowledged(path: Path) -> None:
    journal = Journal(path)
    fill(journal, 5)
    page = journal.page(ack=0, limit=2)
    assert ([record.seq for record in page.records], page.remaining) == ([1, 2], 3)
    assert sequence(journal, limit=2) == [1, 2]
    assert sequence(journal, ack=2) == [3, 4, 5]
    assert sequence(journal, ack=5) == []
    assert journal.unacknowledged == 0
    journal.close()


def test_what_is_not_acknowledged_survives_a_restart_under_the_same_name(path: Path) -> None:
    first = Journal(path)
    fill(first, 3)
    first.close()
    second = Journal(path)
    assert second.id == first.id
    assert sequence(second, ack=1) == [2, 3]
    fill(second, 1)
    assert sequence(second, ack=3) == [4]
    second.close()


def test_sequence_numbers_go_on_after_everything_was_acknowledged(path: Path) -> None:
    first = Journal(path)
    fill(first, 2_100)
    first.page(ack=2_100, limit=0)
    first.close()
    assert path.read_bytes().count(b"\n") == 1
    second = Journal(path)
    fill(second, 1)
    assert sequence(second) == [2_101]
    second.close()


@pytest.mark.parametrize("cut", [1, 50])
def test_a_torn_last_line_is_dropped(path: Path, cut: int) -> None:
    first = Journal(path)
    fill(first, 3)
    first.close()
    path.write_bytes(path.read_bytes()[:-cut])
    second = Journal(path)
    assert sequence(second) == ([1, 2, 3] if cut == 1 else [1, 2])
    second.close()


def test_a_damaged_first_line_starts_a_new_journal(path: Path) -> None:
    first = Journal(path)
    first.close()
    path.write_bytes(b"\0\0\0\n")
    second = Journal(path)
    assert second.id != first.id
    assert sequence(second) == []
    second.close()


def test_beyond_the_bound_the_oldest_are_lost_and_counted(path: Path) -> None:
    journal = Journal(path, limit=3)
    fill(journal, 5)
    assert sequence(journal) == [3, 4, 5]
    assert journal.dropped == 2
    journal.close()


async def test_the_last_acknowledgement_is_awaited(path: Path) -> None:
    journal = Journal(path)
    await journal.wait_acknowledged()
    fill(journal, 1)
    waiting = asyncio.create_task(journal.wait_acknowledged())
    await asyncio.sleep(0)
    assert not waiting.done()
    journal.page(ack=1, limit=10)
    await waiting
    journal.close()


def test_a_pull_is_remembered(path: Path) -> None:
    journal = Journal(path)
    before = journal.pulled
    journal.page(ack=0, limit=1)
    journal.close()
    assert (before, journal.pulled) == (False, True)
